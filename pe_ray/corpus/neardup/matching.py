"""Which new documents are like one in an index.

A pair is looked at if it agrees in a band, as anywhere else, and counts if its exact Jaccard reaches the threshold. Of
several indexed documents the most alike is named, then the smallest id. Two things differ from clustering old and new
documents together with the old ones first: a new document is compared with every indexed one that it meets, not with
the hub of a bucket alone; and it must meet it itself, whereas in a cluster a chain of others can bring two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pe_ray.corpus.neardup.index import Ids, Index, as_column
from pe_ray.corpus.neardup.reading import Reading, Spread, TextOf, Texts, canonical, read
from pe_ray.corpus.neardup.shingles import Shingles
from pe_ray.corpus.neardup.verify import Verifier, lines_at, shingle_sets, stacked, taken

ASKED_AT_A_TIME = 512
"""New documents looked up together: with buckets at their cap, their pairs take some 100 MB."""


@dataclass(frozen=True)
class Matches:
    """For N new documents: `position` (N,) in the index of the one that is alike, -1 for none; `jaccard` (N,) with it,
    0 for none; `survivor` (N,) its id, null for none."""

    position: NDArray[np.int64]
    jaccard: NDArray[np.float64]
    survivor: pa.Array = field(repr=False)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which documents are like an indexed one."""
        return self.position >= 0


@dataclass(frozen=True)
class _Found:
    position: NDArray[np.int64]
    jaccard: NDArray[np.float64]


def matches(index: Index, texts: Texts, *, ids: Ids | None = None) -> Matches:
    """Look up N documents. One whose id is in the index is that document, and is never found to be like another.

    The threshold and the cap of buckets are those of the settings that the index was opened with.
    """
    return matches_of(index, [texts], _itself, ids=ids)


def matches_of(
    index: Index, blocks: Sequence[Any], text_of: TextOf, *, ids: Ids | None = None, spread: Spread = map
) -> Matches:
    """Look up the documents of all blocks, one block after the other; `text_of` and `spread` as in
    `near_duplicates_of`. A task opens the index where it lies, so that it is not sent about."""
    done = list(spread(partial(_match_block, index=index, text_of=text_of), blocks))
    position = np.concatenate([np.empty(0, np.int64), *(part.position for part in done)])
    jaccard = np.concatenate([np.empty(0), *(part.jaccard for part in done)])
    if ids is not None:
        column = as_column(ids, len(position))
        own = pc.is_in(column, index.ids).to_numpy(zero_copy_only=False)
        position[own], jaccard[own] = -1, 0
    return Matches(position, jaccard, index.ids.take(pa.array(position, mask=position < 0)))


def _itself(block: Any) -> Any:
    return block


def _match_block(block: Any, index: Index, text_of: TextOf) -> _Found:
    reading, parts = read(text_of(block), index.settings)
    found = _Found(np.full(len(reading.counts), -1), np.zeros(len(reading.counts)))
    rows, repeats = canonical(reading)
    rows.sort()
    for start in range(0, len(rows), ASKED_AT_A_TIME):
        _match_rows(index, reading, parts, rows[start : start + ASKED_AT_A_TIME], found)
    found.position[repeats[1]], found.jaccard[repeats[1]] = found.position[repeats[0]], found.jaccard[repeats[0]]
    return found


def _match_rows(
    index: Index, reading: Reading, parts: Sequence[Shingles], rows: NDArray[np.int64], found: _Found
) -> None:
    """Fill in `found` for these rows: what they meet, what of that is likely, what of that is alike, the best of it."""
    keys = np.concatenate([reading.content[None, rows], reading.keys[:, rows]])
    new, old = _met(index, keys)
    known, old = np.unique(old, return_inverse=True)
    signatures = np.concatenate([reading.signatures[rows], index.signatures[known]])
    places, threshold = np.arange(len(signatures)), index.settings.threshold
    blind = Verifier(places, csr_array((len(places), 1)), signatures, threshold)
    likely = blind.estimate(new, len(rows) + old) >= threshold - blind.margin
    new, old = new[likely], old[likely]
    mine, theirs = np.unique(new), np.unique(old)
    own_sets = lines_at(shingle_sets(parts, rows[mine]), mine, len(rows))
    known_sets = lines_at(taken(index.indices, index.indptr, known[theirs]), theirs, len(known))
    verifier = Verifier(places, stacked([own_sets, known_sets]), signatures, threshold)
    jaccard = verifier.jaccard(new, len(rows) + old)
    best = np.lexsort((old, -jaccard, new))
    best = best[jaccard[best] >= threshold]
    best = best[np.unique(new[best], return_index=True)[1]]
    found.position[rows[new[best]]], found.jaccard[rows[new[best]]] = known[old[best]], jaccard[best]


def _met(index: Index, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of new documents, whose `keys` are (1 + bands, Q), and positions in the index that agree in some key."""
    pairs = [np.empty((2, 0), np.int64)]
    for line, order in enumerate(index.order):
        pairs += _agreeing(index, keys, np.arange(keys.shape[1]), line, order, 0)
    new, old = np.concatenate(pairs, axis=1)
    num = max(len(index.ids), 1)
    both = np.unique(new * num + old)
    return both // num, both % num


def _agreeing(
    index: Index, keys: NDArray[np.uint64], new: NDArray[np.int64], line: int, order: NDArray[np.int64], depth: int
) -> list[NDArray[np.int64]]:
    """Pairs (2, P) that agree in a line of keys; `order`, positions in the index, sorts them by it.

    Where more than the cap agree, they must agree in the next line too, and so on: of what agrees in all of them the
    first stand for the rest.
    """
    held = index.keys[line][order] if depth else index.keys[line]  # at first a file, of which little is read
    low = np.searchsorted(held, keys[line, new], "left", None if depth else order)
    size = np.searchsorted(held, keys[line, new], "right", None if depth else order) - low
    cap = index.settings.bucket_cap
    wide = (size > cap) & (depth < len(keys) - 1)
    num = np.where(wide, 0, np.minimum(size, cap))
    at = np.arange(num.sum()) + np.repeat(low - (np.cumsum(num) - num), num)
    pairs = [np.stack([np.repeat(new, num), order[at]])]
    for begin in np.unique(low[wide]):
        some = wide & (low == begin)
        positions, further = order[begin : begin + size[some][0]], (line + 1) % len(keys)
        positions = positions[np.argsort(index.keys[further][positions], kind="stable")]
        pairs += _agreeing(index, keys, new[some], further, positions, depth + 1)
    return pairs
