"""Where the shingles of documents can be had again: from the blocks that hold them, or from files written for that."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pe_ray.corpus.neardup.reading import Spread, TextOf
from pe_ray.corpus.neardup.settings import Settings
from pe_ray.corpus.neardup.shingles import blocks, shingle
from pe_ray.corpus.neardup.verify import shingle_sets, stacked, taken
from pe_ray.errors import SourceError


@dataclass(frozen=True)
class Wanted:
    """Some documents of one block: its number, how many documents it holds, and which of them."""

    number: int
    block: Any = field(repr=False)
    num: int
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Shelf:
    """Documents in blocks. `first` (B + 1,) is a block's first row."""

    blocks: Sequence[Any] = field(repr=False)
    first: NDArray[np.int64]
    text_of: TextOf
    settings: Settings

    def sets(self, rows: NDArray[np.int64], spread: Spread = map) -> csr_array:
        """The distinct shingles of `rows`, which ascend, a line each; only blocks that hold one are read.

        Raises SourceError if a block does not hold as many documents as it did.
        """
        return stacked(list(spread(self._reader, self._wanted(rows))))

    def stored(self, rows: NDArray[np.int64], folder: Path, spread: Spread = map) -> Store:
        """Write the shingles of `rows` to files in a folder, one for each block."""
        for _ in spread(partial(_store, read=self._reader, folder=folder), self._wanted(rows)):
            pass
        return Store(folder, self.first)

    @property
    def _reader(self) -> Callable[[Wanted], csr_array]:
        return partial(_sets_of_block, text_of=self.text_of, settings=self.settings)

    def _wanted(self, rows: NDArray[np.int64]) -> list[Wanted]:
        num = np.diff(self.first)
        return [Wanted(b, self.blocks[b], int(num[b]), some) for b, some in _by_block(self.first, rows)]


@dataclass(frozen=True)
class Store:
    """Shingle sets in files, a block in each: how many lines, their rows, where each begins and ends, the shingles."""

    folder: Path
    first: NDArray[np.int64]

    def sets(self, rows: NDArray[np.int64]) -> csr_array:
        """The distinct shingles of `rows`, which ascend, a line each; nothing else is read."""
        return stacked([self._lines(b, some) for b, some in _by_block(self.first, rows)])

    def _lines(self, number: int, rows: NDArray[np.int64]) -> csr_array:
        held = np.load(_file(self.folder, number), mmap_mode="r")
        num = int(held[0])
        known, indptr, indices = held[1 : num + 1], held[num + 1 : 2 * num + 2], held[2 * num + 2 :]
        return taken(indices, indptr, np.searchsorted(known, rows))


def _by_block(first: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The blocks that hold any of `rows`, which ascend, and which of their documents those are."""
    cuts = np.searchsorted(rows, first).tolist()
    return ((b, rows[i:j] - first[b]) for b, (i, j) in enumerate(itertools.pairwise(cuts)) if i < j)


def _sets_of_block(wanted: Wanted, text_of: TextOf, settings: Settings) -> csr_array:
    texts = text_of(wanted.block)
    if len(texts) != wanted.num:
        raise SourceError(
            f"a block of {wanted.num} documents holds {len(texts)} when it is read again; "
            "its file was changed during the run: start the run again"
        )
    some = pc.take(texts, pa.array(wanted.rows))
    parts = [shingle(part, settings.ngram) for part in blocks(some, settings.chunk)]
    return shingle_sets(parts, np.arange(len(wanted.rows)))


def _store(wanted: Wanted, read: Callable[[Wanted], csr_array], folder: Path) -> None:
    sets = read(wanted)
    parts = [[len(wanted.rows)], wanted.rows, sets.indptr, sets.indices]
    target = _file(folder, wanted.number)
    with target.with_suffix(".tmp").open("wb") as f:  # complete or absent, should the task be killed and run again
        np.save(f, np.concatenate(parts).astype(np.int64))
    target.with_suffix(".tmp").replace(target)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npy"
