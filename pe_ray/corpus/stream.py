"""The rows of one split as a stream whose order follows from a seed: what the loader reads.

Only the raw output of PCG64 is used, which NumPy promises never to change, so an order outlives an upgrade.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pe_ray.errors import ManifestError, UserError
from pe_ray.record import EXAMPLE_SCHEMA, RECORD_SCHEMA, Example, Record, digest, from_table
from pe_ray.store import corpora, manifest

Row = Record | Example

ORDER_OF_GROUPS, ORDER_OF_ROWS, DRAWS = range(3)
"""What a generator is for; a part of its seed, so that no two are the same."""


@dataclass(frozen=True)
class Group:
    """A row group of a file, and how many of its rows are of the split."""

    path: Path
    number: int
    num_rows: int


@dataclass(frozen=True)
class Store:
    """Where the rows of one split are. `identity` follows from the content of the files."""

    kind: str
    split: str
    groups: tuple[Group, ...]
    identity: str

    @classmethod
    def open(cls, directory: Path, split: str) -> Store:
        """A finished corpus, or the examples of one; of its rows, the column of splits and nothing else is read.

        Raises ManifestError for a directory that is not finished or was changed, UserError for a split without rows.
        """
        found = manifest.read(directory)
        if found.kind not in ("corpus", "examples"):
            raise ManifestError(f"{directory}: holds a {found.kind}; a corpus or its examples are wanted")
        (corpora.open_corpus if found.kind == "corpus" else corpora.open_examples)(directory)
        under = "records/" if found.kind == "corpus" else ""
        files = {n: f["sha256"] for n, f in found.files.items() if n.startswith(under) and n.endswith(".parquet")}
        names = sorted(n for n in files if "/" not in n.removeprefix(under))
        groups = tuple(g for name in names for g in _groups(directory / name, split) if g.num_rows)
        if not groups:
            raise UserError(f"split={split}: {directory} has no rows of it; train, validation or test is wanted")
        return cls(found.kind, split, groups, digest(found.kind, *(f"{n}:{files[n]}" for n in names)))

    @cached_property
    def num_rows(self) -> int:
        """Rows of the split."""
        return sum(g.num_rows for g in self.groups)

    def read(self, group: Group, chosen: np.ndarray) -> list[Row]:
        """Some rows of a row group, by their place among those of the split, in the order asked for."""
        schema = RECORD_SCHEMA if self.kind == "corpus" else EXAMPLE_SCHEMA
        with pq.ParquetFile(group.path) as file:
            table = file.read_row_group(group.number, columns=list(dict.fromkeys([*schema.names, "split"])))
        table = table.filter(pc.equal(table["split"], self.split)).take(pa.array(chosen))
        return list(from_table(table) if self.kind == "corpus" else _examples(table))


@dataclass(frozen=True)
class Stream:
    """The order of one epoch; without a seed, that of the files. A place is a row's number in the stream."""

    store: Store
    seed: int | None
    epoch: int

    def read(self, start: int, stop: int) -> Iterator[tuple[int, Row]]:
        """The rows from place `start` up to `stop`, a row group in memory at a time."""
        for position in range(self._position(start), len(self._order)):
            begin, end = int(self._starts[position]), int(self._starts[position + 1])
            if begin >= stop:
                return
            first, last = max(start, begin), min(stop, end)
            yield from zip(range(first, last), self._rows(position, np.arange(first, last)), strict=True)

    def fetch(self, places: Sequence[int]) -> list[tuple[int, Row]]:
        """The rows at these places, in this order; each row group is read once."""
        found: dict[int, Row] = {}
        wanted = np.asarray(sorted(places), dtype=np.int64)
        positions = np.searchsorted(self._starts, wanted, side="right") - 1
        for position in np.unique(positions).tolist():
            here = wanted[positions == position]
            found.update(zip(here.tolist(), self._rows(position, here), strict=True))
        return [(place, found[place]) for place in places]

    def _rows(self, position: int, places: np.ndarray) -> list[Row]:
        number = int(self._order[position])
        group = self.store.groups[number]
        inside = places - self._starts[position]
        return self.store.read(group, self._permutation(group.num_rows, ORDER_OF_ROWS, number)[inside])

    def _position(self, place: int) -> int:
        return int(np.searchsorted(self._starts, place, side="right")) - 1

    @cached_property
    def _order(self) -> np.ndarray:
        return self._permutation(len(self.store.groups), ORDER_OF_GROUPS)

    @cached_property
    def _starts(self) -> np.ndarray:
        sizes = np.array([g.num_rows for g in self.store.groups], dtype=np.int64)[self._order]
        return np.concatenate([[0], np.cumsum(sizes)])

    def _permutation(self, size: int, *purpose: int) -> np.ndarray:
        if self.seed is None:
            return np.arange(size)
        return np.argsort(bits(self.seed, self.epoch, *purpose).random_raw(size), kind="stable")


def bits(*seed: int) -> np.random.PCG64:
    """A generator for these numbers, and no other."""
    return np.random.PCG64(np.random.SeedSequence(seed))


def below(generator: np.random.PCG64, size: int) -> int:
    """A number from 0 up to `size`, from one raw output: 64 bits leave a bias that no corpus can show."""
    return (int(generator.random_raw()) * size) >> 64


def _groups(path: Path, split: str) -> Iterator[Group]:
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            column = file.read_row_group(number, columns=["split"])["split"]
            yield Group(path, number, pc.sum(pc.equal(column, split)).as_py() or 0)


def _examples(table: pa.Table) -> Iterator[Example]:
    for row in table.drop_columns("split").to_pylist():
        row["token_ids"], row["loss_mask"] = tuple(row["token_ids"]), tuple(row["loss_mask"])
        yield Example(**row)
