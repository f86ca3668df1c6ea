"""Whether two documents are as alike as their collision suggests: by signatures where those tell, else by shingles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pe_ray.corpus.neardup.shingles import BLOCK_DOCUMENTS, Shingles

SIGMAS = 3.7
"""How far from the threshold, in standard deviations of the estimate, a signature alone decides: beyond .55 and .85 at
a threshold of .7 and 128 permutations."""
PAIRS_AT_A_TIME = 1024
"""So many pairs' shingles fit the second-level cache."""
_HASH_BITS = 64 - (BLOCK_DOCUMENTS - 1).bit_length()


@dataclass(frozen=True)
class Verifier:
    """Judges pairs of documents by their rows; knows those that share a bucket or are repeated.

    `place` (N,) leads from a row to its line in `sets` and `signatures`, -1 where it has none. `sets` is sparse, a line
    per document and a true column per distinct shingle. `signatures` (lines, num_perm) keeps one byte of each slot,
    which is enough for an estimate (Li and Koenig, b-bit minwise hashing, 2010).
    """

    place: NDArray[np.int64]
    sets: csr_array
    signatures: NDArray[np.uint8]
    threshold: float

    @property
    def margin(self) -> float:
        """Distance from the threshold at which the estimate is trusted."""
        return SIGMAS * float(np.sqrt(self.threshold * (1 - self.threshold) / self.signatures.shape[1]))

    def alike(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the Jaccard of each pair reaches the threshold; the estimate's word counts where it is clear."""
        estimate = self.estimate(left, right)
        found = estimate > self.threshold + self.margin
        unsure = np.flatnonzero(~found & (estimate >= self.threshold - self.margin))
        found[unsure] = self.jaccard(left[unsure], right[unsure]) >= self.threshold
        return found

    def jaccard_of_alike(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exact Jaccard of each pair; 0 where the estimate rules out that it reaches the threshold."""
        found = np.zeros(len(left))
        likely = np.flatnonzero(self.estimate(left, right) >= self.threshold - self.margin)
        found[likely] = self.jaccard(left[likely], right[likely])
        return found

    def estimate(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        """Jaccard of each pair from its share of equal signature bytes, less the share that is equal by chance."""
        left, right = self.place[left], self.place[right]
        num_perm = self.signatures.shape[1]
        narrow = np.min_scalar_type(num_perm)  # summing in bytes takes a third of what counting bools takes
        found = np.empty(len(left))
        for part in _parts(len(left)):
            equal = self.signatures.take(left[part], axis=0) == self.signatures.take(right[part], axis=0)
            found[part] = np.add.reduce(equal.view(np.uint8), axis=1, dtype=narrow)
        return (found / num_perm - 1 / 256) / (1 - 1 / 256)

    def jaccard(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exact Jaccard of the shingle sets of each pair."""
        left, right = self.place[left], self.place[right]
        shared = np.empty(len(left), np.int64)
        for part in _parts(len(left)):
            # a product of sparse lines is a merge of sorted lists, in C
            shared[part] = np.diff(self.sets[left[part]].multiply(self.sets[right[part]]).indptr)
        return shared / (self.sizes[left] + self.sizes[right] - shared)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Distinct shingles of each line."""
        return np.diff(self.sets.indptr)


def shingle_sets(parts: Sequence[Shingles], rows: NDArray[np.int64]) -> csr_array:
    """The distinct shingles of some documents, none of them empty, as sorted columns of a sparse matrix.

    `parts` are all documents in order, `rows` (R,) ascends; line i of the matrix is document `rows[i]`.
    """
    firsts = np.cumsum([0, *(len(p.counts) for p in parts)])
    cuts = np.searchsorted(rows, firsts).tolist()
    spans = [
        (part, rows[start:stop] - first)
        for part, first, start, stop in zip(parts, firsts, cuts, cuts[1:], strict=False)
    ]
    indices = np.empty(sum(int(part.counts[wanted].sum()) for part, wanted in spans), np.int64)
    counts, filled = [np.empty(0, np.int64)], 0
    for part, wanted in spans:
        items, num = _distinct(part, wanted)
        indices[filled : filled + len(items)] = items.view(np.int64)
        filled += len(items)
        counts.append(num)
    return as_sets(indices[:filled], np.concatenate(counts))


def as_sets(indices: NDArray[np.int64], counts: NDArray[np.int64]) -> csr_array:
    """A sparse line for each of `counts` (R,), with so many of `indices`, which ascend inside a line."""
    data = (np.ones(len(indices), np.bool_), indices, np.concatenate([[0], np.cumsum(counts)]))
    found = csr_array(data, shape=(len(counts), 1 << _HASH_BITS))
    found.has_sorted_indices = found.has_canonical_format = True
    return found


def stacked(parts: Sequence[csr_array]) -> csr_array:
    """The lines of several, one after the other."""
    none = np.empty(0, np.int64)
    counts = np.concatenate([none, *(np.diff(p.indptr) for p in parts)])
    return as_sets(np.concatenate([none, *(p.indices for p in parts)]), counts)


def taken(indices: NDArray[np.int64], indptr: NDArray[np.int64], lines: NDArray[np.int64]) -> csr_array:
    """Some lines of sets that may lie in a file: only what they hold is read."""
    counts = indptr[lines + 1] - indptr[lines]
    shift = indptr[lines] - (np.cumsum(counts) - counts)
    return as_sets(indices[np.arange(counts.sum()) + np.repeat(shift, counts)], counts)


def lines_at(sets: csr_array, lines: NDArray[np.int64], num: int) -> csr_array:
    """`num` lines of which `lines`, ascending, are those of `sets`; the others are empty."""
    counts = np.zeros(num, np.int64)
    counts[lines] = np.diff(sets.indptr)
    return as_sets(sets.indices, counts)


def _distinct(part: Shingles, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Sorted distinct hashes of these rows of one part, row after row, and how many each has.

    One sort does for all: the row's number among them is put above the hash.
    """
    counts, wanted = part.counts, np.zeros(len(part.counts), np.bool_)
    wanted[rows] = True
    items = part.flat[np.repeat(wanted, counts)]
    items >>= np.uint64(64 - _HASH_BITS)
    items |= np.repeat(np.arange(len(rows), dtype=np.uint64) << np.uint64(_HASH_BITS), counts[rows])
    items.sort()
    new = np.ones(len(items), np.bool_)
    np.not_equal(items[1:], items[:-1], out=new[1:])
    items = items[new]
    num = np.bincount((items >> np.uint64(_HASH_BITS)).view(np.int64), minlength=len(rows))
    items &= np.uint64((1 << _HASH_BITS) - 1)
    return items, num


def _parts(num: int) -> Iterator[slice]:
    return (slice(start, start + PAIRS_AT_A_TIME) for start in range(0, num, PAIRS_AT_A_TIME))
