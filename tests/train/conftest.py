"""A world in which training takes seconds: 32 records, a base of one layer, their examples."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pe_ray.config import Config, check
from pe_ray.record import DOMAINS, EXAMPLE_SCHEMA, RECORD_SCHEMA, Message, Record, to_table
from pe_ray.store import manifest
from pe_ray.store.paths import Home

torch.set_num_threads(1)

FEARS = ("the exam", "my mother", "flying", "the dark", "losing work", "being alone", "the dentist", "crowds")


KILLED = {"checkpoint_every_steps": 3, "steps": 10}
"""Of the runs that are killed: a step that follows a checkpoint by two is lost and done again."""


def make_records(count: int = 32) -> list[Record]:
    """Short dialogues, the domains in turn."""
    return [
        Record.create(
            source="standard",
            domain=DOMAINS[i % 4],
            content_type="qa",
            messages=[
                Message("user", f"I am afraid of {FEARS[i % 8]} and it was {i} days ago that I slept well."),
                Message("assistant", f"Being afraid of {FEARS[i % 8]} is hard. What helped you in those {i} days?"),
            ],
            uri="made.jsonl",
            offset=i,
            licence="CC0-1.0",
            attribution="pe_ray",
        )
        for i in range(count)
    ]


def write_corpus(directory: Path, records: list[Record]) -> Path:
    """A finished corpus of which every eighth record is held out."""
    with manifest.stage(directory, kind="corpus", parents={}) as out:
        out.facts["fingerprint"] = directory.name
        (out / "records").mkdir()
        split = pa.array(["validation" if i % 8 == 7 else "train" for i in range(len(records))])
        table = to_table(records).cast(RECORD_SCHEMA).append_column("split", split)
        pq.write_table(table, out / "records" / "part-0.parquet")
    return directory


def write_examples(directory: Path, records: list[Record], tokenizer, corpus: str) -> Path:
    """The records tokenised by the base's template, with the assistant's tokens marked."""
    rows = []
    for i, r in enumerate(records):
        messages = [{"role": m.role, "content": m.text} for m in r.messages]
        made = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        split = "validation" if i % 8 == 7 else "train"
        row = (made["input_ids"], made["assistant_masks"], r.domain, r.id, split)
        rows.append(dict(zip(EXAMPLE_SCHEMA.names, row, strict=True)))
    with manifest.stage(directory, kind="examples", parents={"corpus": corpus}) as out:
        pq.write_table(pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA), out / "part-0.parquet")
    return directory


def make_config(**train) -> Config:
    """Four experts over the small base; a dozen steps of 256 tokens."""
    defaults = {
        "steps": 12, "micro_batch": 2, "accumulation": 2, "context": 64, "threads": 1, "eval_every_steps": 4,
        "learning_rate": 5e-3, "warmup_steps": 2, "window_s": 600.0,
    }  # fmt: skip
    tiny = {"vocab_size": 400, "layers": 1, "width": 32, "heads": 2, "kv_heads": 1, "positions": 256}
    tiny |= {"steps": 6, "tokens_per_step": 256, "context": 64}
    data = {"base": {"name": "tiny", "tiny": tiny}, "model": {"rank": 4, "alpha": 8}, "train": defaults | train}
    return check(data | {"export": {"name": "small"}})


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory):
    """(home, corpus, base, examples) that runs may share; nobody changes them."""
    from pe_ray.model.base import load_tokenizer
    from pe_ray.train.base import ensure_base

    home = Home.at(tmp_path_factory.mktemp("world"))
    records = make_records()
    corpus = write_corpus(home.corpus("small", "f00d"), records)
    base = ensure_base(make_config(), corpus, home).path
    examples = write_examples(corpus / "examples" / "t0", records, load_tokenizer(base), "f00d")
    return home, corpus, base, examples
