"""From records to examples: token ids, and which of them are the assistant's and learnt.

    <corpus>/examples/<tokenizer_hash>/00000.parquet ...   EXAMPLE_SCHEMA
    <corpus>/examples/<tokenizer_hash>/truncated.jsonl     record_id, tokens, kept: what the context could not hold

The mask comes from the template's generation marks where it has them. Otherwise it is the difference of prefixes: what
the rendered conversation has beyond the same conversation up to the assistant's turn. Some templates rewrite earlier
turns once later ones exist (Qwen3 drops their thinking block); such a turn cannot be told apart safely, so it is
context only, counted as `unlearnt_turns`, and the last turn is learnt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq

from pe_ray.errors import BaseModelError
from pe_ray.record import EXAMPLE_SCHEMA, digest
from pe_ray.store import manifest
from pe_ray.store.corpora import open_corpus

VERSION = "1"
BATCH = 256
NO_LIMIT = 1 << 30
"""transformers writes a huge number where a tokenizer knows no longest input."""
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json"),
)

Messages = Sequence[dict[str, str]]


@dataclass
class Tally:
    """What tokenising came to, for the manifest."""

    counts: Counter[str] = field(default_factory=Counter)
    truncated: list[dict[str, Any]] = field(default_factory=list)


def tokenise(
    corpus_dir: Path, tokenizer_dir: Path, chat_template: str | None = None, *, max_tokens: int | None = None
) -> Path:
    """Write the examples of a corpus under one tokenizer, and give back their directory.

    `chat_template` is a Jinja template, or a file that holds one; without it the tokenizer's own. `max_tokens` cuts an
    example (default: the tokenizer's longest input); a cut one is listed, and one without a learnt token left is
    dropped and listed. Raises ManifestError for a corpus that is not finished or was changed, BaseModelError for a
    tokenizer that cannot be read, has no template, or whose template cannot be masked.
    """
    corpus_dir, tokenizer_dir = Path(corpus_dir), Path(tokenizer_dir)
    corpus = open_corpus(corpus_dir)
    tokenizer = _tokenizer(tokenizer_dir, chat_template)
    limit = max_tokens or tokenizer.model_max_length
    name = _hash(tokenizer_dir, tokenizer.chat_template, limit)
    target = corpus_dir / "examples" / name
    if manifest.is_finished(target):
        return target
    parents = {"corpus": str(corpus.facts.get("fingerprint", corpus_dir.name)), "tokenizer": name}
    with manifest.stage(target, kind="examples", parents=parents) as out:
        tally = Tally()
        for path in sorted((corpus_dir / "records").glob("*.parquet")):
            _tokenise_file(path, out / path.name, tokenizer, limit, tally)
        lines = "".join(json.dumps(t) + "\n" for t in tally.truncated)
        (out / "truncated.jsonl").write_text(lines, encoding="utf-8")
        out.facts.update(dict(tally.counts), max_tokens=limit if limit < NO_LIMIT else None)
        vocabulary = tokenizer_dir / "tokenizer.json"
        if vocabulary.is_file():  # so that nobody trains a base on another's token ids
            out.facts["tokenizer"] = manifest.file_hash(vocabulary)
    return target


def _tokenise_file(source: Path, target: Path, tokenizer: Any, limit: int, tally: Tally) -> None:
    with pq.ParquetWriter(target, EXAMPLE_SCHEMA, compression="zstd") as writer:
        columns = ["id", "domain", "messages", "split"]
        for batch in pq.ParquetFile(source).iter_batches(batch_size=BATCH, columns=columns):
            rows = batch.to_pylist()
            encoded = encode(tokenizer, [r["messages"] for r in rows], tally)
            examples = [e for r, (i, m) in zip(rows, encoded, strict=True) for e in _example(r, i, m, limit, tally)]
            writer.write_table(pa.Table.from_pylist(examples, schema=EXAMPLE_SCHEMA))


def encode(tokenizer: Any, conversations: Sequence[Messages], tally: Tally) -> list[tuple[list[int], list[int]]]:
    """Token ids and mask (1: learnt) of each conversation."""
    if "generation" not in tokenizer.chat_template.replace("add_generation_prompt", ""):
        return [_by_prefix(tokenizer, messages, tally) for messages in conversations]
    # transformers warns about lengths past model_max_length here; we cut below and say so
    done = tokenizer.apply_chat_template(
        [_plain(m) for m in conversations], tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return list(zip(done["input_ids"], done["assistant_masks"], strict=True))


def _by_prefix(tokenizer: Any, messages: Messages, tally: Tally) -> tuple[list[int], list[int]]:
    whole = _render(tokenizer, messages)
    spans = list(_assistant_spans(tokenizer, messages, whole, tally))
    if not spans:
        raise BaseModelError(
            "base.chat_template: what the assistant says cannot be told from its context; give a template with "
            "{% generation %} marks"
        )
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    mask = [int(any(s <= begin < e and end > begin for s, e in spans)) for begin, end in encoded["offset_mapping"]]
    return encoded["input_ids"], mask


def _assistant_spans(tokenizer: Any, messages: Messages, whole: str, tally: Tally) -> Iterator[tuple[int, int]]:
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        head = _render(tokenizer, messages[:i], add_generation_prompt=True)
        turn = _render(tokenizer, messages[: i + 1])
        if whole.startswith(head) and whole.startswith(turn) and len(turn) > len(head):
            yield len(head), len(turn)
        else:
            tally.counts["unlearnt_turns"] += 1


def _render(tokenizer: Any, messages: Messages, **options: Any) -> str:
    try:
        return tokenizer.apply_chat_template(_plain(messages), tokenize=False, **options)
    except jinja2.TemplateError as error:
        roles = ", ".join(m["role"] for m in messages)
        raise BaseModelError(f"base.chat_template: refuses turns of {roles} ({type(error).__name__})") from None


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [{"role": m["role"], "content": m["text"]} for m in messages]


def _example(
    row: dict[str, Any], ids: list[int], mask: list[int], limit: int, tally: Tally
) -> Iterator[dict[str, Any]]:
    kept = min(len(ids), limit)
    learnt = sum(mask[:kept])
    if not learnt:
        kept = 0
    if kept < len(ids):
        tally.truncated.append({"record_id": row["id"], "tokens": len(ids), "kept": kept})
        tally.counts["truncated" if kept else "dropped"] += 1
    if not kept:
        return
    tally.counts.update(examples=1, tokens=kept, learnt_tokens=learnt)
    tally.counts[f"{row['split']}_tokens"] += kept
    yield {
        "token_ids": ids[:kept],
        "loss_mask": mask[:kept],
        "domain": row["domain"],
        "record_id": row["id"],
        "split": row["split"],
    }


def _tokenizer(directory: Path, chat_template: str | None) -> Any:
    from transformers import AutoTokenizer

    if not (directory / "tokenizer_config.json").is_file() and not (directory / "tokenizer.json").is_file():
        raise BaseModelError(f"tokenizer={directory}: holds no tokenizer.json; give the directory of a base model")
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(f"tokenizer={directory}: cannot be read ({type(error).__name__})") from None
    if chat_template:
        tokenizer.chat_template = _template(chat_template)
    if not tokenizer.chat_template:
        raise BaseModelError(
            f"base.chat_template: not set, and the tokenizer at {directory} has none; give a Jinja template or its file"
        )
    return tokenizer


def _template(given: str) -> str:
    if "{" in given:
        return given
    path = Path(given).expanduser()
    if not path.is_file():
        raise BaseModelError(f"base.chat_template={given}: is neither a Jinja template nor a file that holds one")
    return path.read_text(encoding="utf-8")


def _hash(directory: Path, template: str, limit: int) -> str:
    files = [directory / name for name in TOKENIZER_FILES if (directory / name).is_file()]
    return digest(VERSION, template, str(limit), *(f"{f.name}:{manifest.file_hash(f)}" for f in files))[:16]
