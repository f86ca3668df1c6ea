from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_ray.corpus.pipeline import build
from pe_ray.corpus.tokenise import Tally, encode, tokenise
from pe_ray.errors import BaseModelError, ManifestError
from pe_ray.record import EXAMPLE_SCHEMA
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.write import config, five_sources

MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")
REWRITING = (  # as Qwen3's: an empty thinking block, in the last turn only
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think></think>"
    "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MERGING = "{{ messages | map(attribute='content') | sort | join(' ') }}{% if add_generation_prompt %}?{% endif %}"

TALK = [
    {"role": "user", "text": "Where is the piano?"},
    {"role": "assistant", "text": "In Lisbon."},
    {"role": "user", "text": "And now?"},
    {"role": "assistant", "text": "Still there."},
]


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer with ChatML tokens and no merges: a token is a byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(models.BPE({t: i for i, t in enumerate([*special, *alphabet])}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(special)
    folder = tmp_path_factory.mktemp("tokenizer")
    fast = PreTrainedTokenizerFast(tokenizer_object=core, pad_token=special[0], eos_token=special[2])
    fast.chat_template = MARKED
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    five_sources(folder / "data")
    return build(config(folder / "data"), Home.at(folder / "home")).path


def examples_in(folder: Path) -> pa.Table:
    return pq.read_table(sorted(folder.glob("*.parquet")), schema=EXAMPLE_SCHEMA)


def learnt(tokenizer_dir: Path, template: str, tally: Tally | None = None) -> str:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    tokenizer.chat_template = template
    ((ids, mask),) = encode(tokenizer, [TALK], tally or Tally())
    return tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m])


def test_marks_and_prefixes_learn_the_assistants_words(tokenizer_dir: Path) -> None:
    assert learnt(tokenizer_dir, MARKED) == "In Lisbon.<|im_end|>Still there.<|im_end|>"
    assert learnt(tokenizer_dir, PLAIN) == "In Lisbon.<|im_end|>Still there.<|im_end|>"


def test_a_template_that_rewrites_earlier_turns_learns_the_last(tokenizer_dir: Path) -> None:
    tally = Tally()
    assert learnt(tokenizer_dir, REWRITING, tally) == "<think></think>Still there.<|im_end|>\n"
    assert tally.counts["unlearnt_turns"] == 1


def test_a_template_that_cannot_be_masked_is_refused(tokenizer_dir: Path) -> None:
    with pytest.raises(BaseModelError, match=r"\{% generation %\}"):
        learnt(tokenizer_dir, MERGING)


def test_examples_follow_the_records(corpus_dir: Path, tokenizer_dir: Path) -> None:
    out = tokenise(corpus_dir, tokenizer_dir)
    assert out.parent == corpus_dir / "examples"
    examples, records = examples_in(out), pq.read_table(corpus_dir / "records")
    assert examples["record_id"].to_pylist() == records["id"].to_pylist()
    assert examples["split"].to_pylist() == records["split"].to_pylist()
    row, record = examples.to_pylist()[0], records.to_pylist()[0]
    assert len(row["token_ids"]) == len(row["loss_mask"])
    assert sum(row["loss_mask"]) == len(record["messages"][1]["text"].encode()) + 1
    facts = manifest.read(out, "examples").facts
    assert facts["examples"] == len(examples)
    assert facts["tokens"] == sum(len(t) for t in examples["token_ids"].to_pylist())
    assert manifest.read(out).parents["corpus"] == corpus_dir.name
    manifest.read(corpus_dir, "corpus", verify=True)
    assert tokenise(corpus_dir, tokenizer_dir) == out


def test_both_ways_of_masking_give_the_same_tokens(corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.jinja").write_text(PLAIN)
    marked = examples_in(tokenise(corpus_dir, tokenizer_dir))
    plain_dir = tokenise(corpus_dir, tokenizer_dir, str(tmp_path / "plain.jinja"))
    assert plain_dir == tokenise(corpus_dir, tokenizer_dir, PLAIN)
    plain = examples_in(plain_dir)
    assert plain["token_ids"] == marked["token_ids"]
    assert plain_dir != tokenise(corpus_dir, tokenizer_dir)


def test_what_is_cut_is_listed_and_what_has_nothing_to_learn_is_dropped(corpus_dir: Path, tokenizer_dir: Path) -> None:
    whole = examples_in(tokenise(corpus_dir, tokenizer_dir))
    limit = 140
    out = tokenise(corpus_dir, tokenizer_dir, max_tokens=limit)
    cut = examples_in(out)
    listed = [json.loads(line) for line in (out / "truncated.jsonl").read_text().splitlines()]
    lengths = dict(zip(whole["record_id"].to_pylist(), map(len, whole["token_ids"].to_pylist()), strict=True))
    assert {t["record_id"]: t["tokens"] for t in listed} == {i: n for i, n in lengths.items() if n > limit}
    dropped = [t["record_id"] for t in listed if not t["kept"]]
    assert set(cut["record_id"].to_pylist()) == lengths.keys() - set(dropped)
    assert max(map(len, cut["token_ids"].to_pylist())) == limit
    assert all(map(sum, cut["loss_mask"].to_pylist()))
    facts = manifest.read(out).facts
    assert facts["truncated"] + facts.get("dropped", 0) == len(listed) > 0
    tiny = manifest.read(tokenise(corpus_dir, tokenizer_dir, max_tokens=5)).facts
    assert tiny["dropped"] == len(lengths)


def test_what_cannot_be_tokenised_says_why(corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="never finished"):
        tokenise(tmp_path, tokenizer_dir)
    with pytest.raises(BaseModelError, match=r"holds no tokenizer\.json"):
        tokenise(corpus_dir, tmp_path)
    with pytest.raises(BaseModelError, match=r"base\.chat_template=nowhere\.jinja"):
        tokenise(corpus_dir, tokenizer_dir, "nowhere.jinja")
    with pytest.raises(BaseModelError, match="refuses turns of user, assistant"):
        tokenise(corpus_dir, tokenizer_dir, "{{ raise_exception('no') }}{{ messages }}")
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bare / name).write_bytes((tokenizer_dir / name).read_bytes())
    with pytest.raises(BaseModelError, match=r"base\.chat_template: not set"):
        tokenise(corpus_dir, bare)
