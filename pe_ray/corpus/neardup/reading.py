"""One pass over documents, and what is kept of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pe_ray.corpus.neardup.settings import Settings
from pe_ray.corpus.neardup.shingles import Shingles, blocks, shingle
from pe_ray.corpus.neardup.signatures import band_keys, sign

Texts: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str]
TextOf = Callable[[Any], pa.Array | pa.ChunkedArray]
"""Reads the documents of a block, the same ones in the same order whenever it is called. Can be pickled."""
Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Calls a function that can be pickled on each item, anywhere, and yields the results in order."""


@dataclass(frozen=True)
class Reading:
    """What one pass leaves of N documents, about 270 bytes each by default."""

    counts: NDArray[np.int64]
    """(N,) shingles of each, repetitions included."""
    content: NDArray[np.uint64]
    """(N,) hash over those shingles."""
    signatures: NDArray[np.uint8]
    """(N, num_perm) lowest byte of each slot."""
    keys: NDArray[np.uint64]
    """(bands, N)"""

    @classmethod
    def joined(cls, parts: Sequence[Reading], settings: Settings) -> Reading:
        """The documents of all parts, one part after the other."""
        return cls(
            np.concatenate([np.empty(0, np.int64), *(p.counts for p in parts)]),
            np.concatenate([np.empty(0, np.uint64), *(p.content for p in parts)]),
            np.concatenate([np.empty((0, settings.num_perm), np.uint8), *(p.signatures for p in parts)]),
            np.concatenate([np.empty((settings.bands, 0), np.uint64), *(p.keys for p in parts)], axis=1),
        )


def read(texts: Texts, settings: Settings) -> tuple[Reading, list[Shingles]]:
    """Shingle and sign documents; their shingles are given back too."""
    parts, readings = [], []
    for block in blocks(texts, settings.chunk):
        part = shingle(block, settings.ngram)
        signature = sign(part, settings.num_perm, settings.seed)
        keys = band_keys(signature, settings.bands, settings.seed)
        readings.append(Reading(part.counts, part.content(), signature.astype(np.uint8), keys))
        parts.append(part)
    return Reading.joined(readings, settings), parts


def read_block(block: Any, text_of: TextOf, settings: Settings) -> Reading:
    """Shingle and sign the documents of a block; their shingles are forgotten."""
    return read(text_of(block), settings)[0]


def canonical(read: Reading) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of distinct content in the order of its hash, so that hubs follow from what documents say and not from
    where they stand; and pairs (2, P) of rows whose shingles are the same."""
    rows = np.flatnonzero(read.counts)
    rows = rows[np.argsort(read.content[rows], kind="stable")]
    new = np.ones(len(rows), np.bool_)
    new[1:] = read.content[rows[1:]] != read.content[rows[:-1]]
    leader = rows[new][np.cumsum(new) - 1]
    return rows[new], np.stack([leader[~new], rows[~new]])
