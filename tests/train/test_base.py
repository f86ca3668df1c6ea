from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from pe_ray.config import check
from pe_ray.errors import BaseModelError, ManifestError, UserError
from pe_ray.model.base import load_base
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train.base import ensure_base, train_tokenizer, training_records
from tests.train.conftest import make_config, make_records, write_corpus

CHAT = [
    {"role": "user", "content": "I am afraid."},
    {"role": "assistant", "content": "Of what?"},
    {"role": "user", "content": "Spiders."},
]


def test_the_tiny_base_is_a_plain_directory_that_speaks_chatml(world) -> None:
    _, _, base, _ = world
    model, tokenizer = load_base(base)
    assert model.config.model_type == "llama" and model.config.tie_word_embeddings
    text = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>user\nI am afraid.<|im_end|>\n<|im_start|>assistant\nOf what?<|im_end|>\n"
        "<|im_start|>user\nSpiders.<|im_end|>\n<|im_start|>assistant\n"
    )
    made = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
    learnt = [i for i, m in zip(made["input_ids"], made["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(learnt) == "Of what?<|im_end|>"
    prompt = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**prompt, max_new_tokens=4)
    assert out.shape[1] <= prompt["input_ids"].shape[1] + 4
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_it_is_taken_from_the_shelf_when_made_from_the_same(world) -> None:
    home, corpus, base, _ = world
    again = ensure_base(make_config(), corpus, home)
    assert again.path == base and again.stage["cached"] is True
    facts = manifest.read(base, "base", verify=True)
    assert facts.parents == {"corpus": "f00d"} and facts.facts["demo_base"] is True
    assert again.stage["loss"] == facts.facts["loss"] and again.stage["tokens"] > 0 and again.stage["name"] == "tiny"


def test_another_corpus_or_shape_makes_another_base(world, tmp_path) -> None:
    _, _, base, _ = world
    home = Home.at(tmp_path)
    corpus = write_corpus(home.corpus("small", "beef"), make_records(16))
    first = ensure_base(make_config(), corpus, home)
    assert first.stage["cached"] is False and first.path.name != base.name
    wider = make_config().model_dump(mode="json")
    wider["base"]["tiny"]["layers"] = 2
    assert ensure_base(check(wider), corpus, home).path != first.path


def test_it_learns_from_the_training_split_alone(world) -> None:
    _, corpus, _, _ = world
    used = {r.id for r in training_records(corpus)}
    held_out = pq.read_table(corpus / "records", filters=[("split", "=", "validation")])["id"].to_pylist()
    assert len(used) == 28 and len(held_out) == 4 and not used & set(held_out)


def test_the_tokenizer_gives_back_any_text(world) -> None:
    tokenizer = train_tokenizer(make_records(8), 400, 256)
    for text in ["Grüße, 你好 — 🙂\n\ttab  two spaces", "I'm fine.", ""]:
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert len(tokenizer) <= 400 and tokenizer.pad_token != tokenizer.eos_token


def test_a_base_of_the_users_own_is_checked_and_returned(world, tmp_path) -> None:
    home, corpus, base, _ = world
    found = ensure_base(check({"base": str(base)}), corpus, home)
    assert found.path == base and found.stage["name"] == str(base)
    with pytest.raises(BaseModelError, match="no such directory"):
        ensure_base(check({"base": "./nowhere"}), corpus, home)
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in base.iterdir():
        if file.name not in ("chat_template.jinja", manifest.NAME):
            (bare / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BaseModelError, match=r"base.chat_template is empty"):
        ensure_base(check({"base": str(bare)}), corpus, home)
    template = (base / "chat_template.jinja").read_text()
    given = check({"base": {"name": str(bare), "chat_template": template}})
    assert ensure_base(given, corpus, home).path == bare
    config = json.loads((bare / "config.json").read_text()) | {"model_type": "gpt2"}
    (bare / "config.json").write_text(json.dumps(config))
    with pytest.raises(BaseModelError, match="gpt2"):
        ensure_base(given, corpus, home)


def test_a_corpus_that_is_not_finished_is_refused(tmp_path) -> None:
    with pytest.raises(ManifestError, match="never finished"):
        ensure_base(make_config(), tmp_path, Home.at(tmp_path))


def test_a_shape_that_does_not_divide_is_refused(world, tmp_path) -> None:
    _, corpus, *_ = world
    odd = make_config().model_dump(mode="json")
    odd["base"]["tiny"]["heads"] = 3
    with pytest.raises(UserError, match="heads=3 must divide width=32"):
        ensure_base(check(odd), corpus, Home.at(tmp_path))
    assert not list((tmp_path / "bases").glob("*"))
