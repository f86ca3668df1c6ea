"""The kept records of a snapshot as a stream of plain rows, and a file for each split to write them to."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow.parquet as pq

from pe_ray.errors import UserError
from pe_ray.store.corpora import open_corpus

BATCH = 256
"""Records in memory at a time."""
LINE_ENDS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}
"""JSON allows these inside a text, but readers that go by `splitlines` take them for the end of the line."""


@dataclass(frozen=True)
class Snapshot:
    """A finished corpus on disk; `examples` is the tokenised folder that an hdf5 export reads."""

    path: Path
    name: str
    fingerprint: str
    examples: Path | None = None

    @classmethod
    def open(cls, path: Path) -> Snapshot:
        """Raises ManifestError for a corpus that is not finished or was changed, UserError for one without records."""
        found = open_corpus(path)
        absolute = path.absolute()
        snapshot = cls(absolute, absolute.parent.name, str(found.facts.get("fingerprint", absolute.name)))
        if not snapshot.files:
            raise UserError(f"corpus={path}: holds no kept records; there is nothing to export")
        return snapshot

    @property
    def examples_name(self) -> str:
        """Name of the examples' folder: the hash of the tokenizer and its template."""
        assert self.examples is not None
        return self.examples.name

    @property
    def files(self) -> list[Path]:
        """The Parquet files of kept records, in order."""
        return sorted((self.path / "records").glob("*.parquet"))

    @property
    def columns(self) -> list[str]:
        """What is known of each record, by name."""
        return list(pq.read_schema(self.files[0]).names)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each kept record, with the columns of the Parquet files in their order."""
        for path in self.files:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    yield {name: _plain(value) for name, value in row.items()}


@contextmanager
def split_files(folder: Path, suffix: str, head: bytes = b"") -> Iterator[Callable[[str], BinaryIO]]:
    """A function that gives the open file of a split (`train.jsonl`), which begins with `head`."""
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}

        def of(split: str) -> BinaryIO:
            if split not in files:
                files[split] = stack.enter_context((folder / f"{split}{suffix}").open("wb"))
                files[split].write(head)
            return files[split]

        yield of


def write_lines(folder: Path, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, int]:
    """Pairs of a split and a row as JSON lines, a file for each split; gives back the rows by split."""
    counts: Counter[str] = Counter()
    with split_files(folder, ".jsonl") as file_of:
        for split, row in rows:
            file_of(split).write(line(row))
            counts[split] += 1
    return dict(sorted(counts.items()))


def line(value: Any) -> bytes:
    """A value as one line of JSON, for every idea of what ends a line."""
    return (dumps(value) + "\n").encode()


def dumps(value: Any) -> str:
    """JSON that keeps letters as they are and has no character that ends a line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).translate(LINE_ENDS)


def _plain(value: Any) -> Any:
    """Floats that come from a float32 as the shortest figure that gives it again: .873, not .8730000257492065."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        short = np.float32(value)
        return float(str(short)) if float(short) == value else value
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value
