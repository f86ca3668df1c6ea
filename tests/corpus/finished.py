"""Finished snapshots and examples without a build: what exports, loaders and cards read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pe_ray.record import EXAMPLE_SCHEMA, RECORD_SCHEMA, Example, Message, Record, to_table
from pe_ray.store import manifest

SCHEMA = RECORD_SCHEMA.append(pa.field("split", pa.string()))


def record(offset: int, *turns: tuple[str, str], **over: Any) -> Record:
    """A record; turns are (role, text)."""
    fields = {
        "source": "standard",
        "domain": "general_therapeutic",
        "content_type": "qa",
        "messages": [Message(role, text) for role, text in turns],  # type: ignore[arg-type]
        "uri": "a.jsonl",
        "offset": offset,
        "licence": "CC-BY-4.0",
        "attribution": "Ada",
        "metadata": {"question": "extracted"},
    }
    return Record.create(**(fields | over))


def talk(number: int, **over: Any) -> Record:
    """The record of one short exchange, no two alike."""
    return record(number, ("user", f"Is it {number}?"), ("assistant", f"Yes, {number}."), **over)


def every(number: int) -> str:
    """A split for a row: each fifth is held out."""
    return "validation" if number % 5 == 4 else "train"


def snapshot(
    folder: Path,
    records: Sequence[Record],
    split: Callable[[int], str] = every,
    *,
    file_rows: int = 1000,
    group_rows: int = 100,
) -> Path:
    """A finished corpus that holds these records; `split` gives the side of each by its place."""
    target = folder / "corpora" / "small" / f"fp{len(records)}"
    with manifest.stage(target, kind="corpus", parents={}) as out:
        (out / "records").mkdir()
        table = to_table(records).append_column("split", pa.array([split(i) for i in range(len(records))], pa.string()))
        table = table.cast(SCHEMA)
        for number, start in enumerate(range(0, len(table), file_rows)):
            path = out / "records" / f"{number:05d}.parquet"
            pq.write_table(table.slice(start, file_rows), path, row_group_size=group_rows)
        out.facts["fingerprint"] = target.name
    return target


def examples(
    corpus: Path, found: Sequence[Example], split: Callable[[int], str] = every, *, name: str = "0123456789abcdef"
) -> Path:
    """A finished folder of examples of that corpus."""
    target = corpus / "examples" / name
    with manifest.stage(target, kind="examples", parents={"corpus": corpus.name, "tokenizer": name}) as out:
        rows = [
            {
                "token_ids": list(e.token_ids),
                "loss_mask": list(e.loss_mask),
                "domain": e.domain,
                "record_id": e.record_id,
                "split": split(i),
            }
            for i, e in enumerate(found)
        ]
        pq.write_table(pa.Table.from_pylist(rows, EXAMPLE_SCHEMA), out / "00000.parquet", row_group_size=7)
    return target
