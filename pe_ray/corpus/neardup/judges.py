"""Who verifies: one process that holds all shingle sets, or tasks that each read what their share needs.

Both judge the same pairs in the same way and so find the same edges and the same removals. In a task documents have
numbers of its own, so that it is sent nothing but the signatures of its members.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pe_ray.corpus.neardup.bands import Buckets
from pe_ray.corpus.neardup.edges import Edges, star_edges
from pe_ray.corpus.neardup.reading import Reading, Spread
from pe_ray.corpus.neardup.settling import Settled, settle
from pe_ray.corpus.neardup.shelf import Shelf, Store
from pe_ray.corpus.neardup.verify import Verifier, lines_at


@dataclass(frozen=True)
class Company:
    """Documents that share a bucket or are repeated. `place` (N,) leads from a row to its line in `rows` and
    `signatures`, -1 where it has none; repeats share the line of the first of them."""

    place: NDArray[np.int64]
    rows: NDArray[np.int64]
    signatures: NDArray[np.uint8]
    threshold: float

    @classmethod
    def of(cls, read: Reading, rows: NDArray[np.int64], repeats: NDArray[np.int64], threshold: float) -> Company:
        """Of these rows and of what is repeated."""
        wanted = np.zeros(len(read.counts), np.bool_)
        wanted[rows] = wanted[repeats[0]] = True
        rows, place = np.flatnonzero(wanted), np.full(len(wanted), -1)
        place[rows] = np.arange(len(rows))
        place[repeats[1]] = place[repeats[0]]
        return cls(place, rows, read.signatures[rows], threshold)

    def verifier(self, sets: csr_array) -> Verifier:
        """Judges all of them; `sets` has a line for each of `rows`."""
        return Verifier(self.place, sets, self.signatures, self.threshold)


@dataclass(frozen=True)
class Here:
    """Judges in this process. The verifier holds shingles and signatures of all documents in company, about 1.4 KB for
    140 words."""

    verifier: Verifier = field(repr=False)

    def edges(self, found: Buckets, label: NDArray[np.int64], order: NDArray[np.int64]) -> Edges:
        return star_edges(found, label, order, self.verifier)

    def settled(self, found: Buckets) -> Settled:
        return settle(found, self.verifier)


@dataclass(frozen=True)
class Elsewhere:
    """Judges in tasks: whole buckets, or whole clusters, in `partitions` shares of about as many members each."""

    company: Company = field(repr=False)
    shelf: Shelf | Store = field(repr=False)
    spread: Spread
    partitions: int

    def edges(self, found: Buckets, label: NDArray[np.int64], order: NDArray[np.int64]) -> Edges:
        joined = label[found.rank[found.first]] == label[found.rank]
        found = found.without(joined & (found.place > 0))
        cuts = found.slices(self.partitions)
        shares = [self._share(found, order[found.rank[cut]], cut, label[found.rank[cut]]) for cut in cuts]
        results = self.spread(partial(_edges_of_share, shelf=self.shelf, threshold=self.company.threshold), shares)
        parts, verified = [np.empty((2, 0), np.int64)], 0
        for cut, result in zip(cuts, results, strict=True):
            parts.append(found.rank[cut][result.pairs])
            verified += result.verified
        return Edges(np.concatenate(parts, axis=1), verified)

    def settled(self, found: Buckets) -> Settled:
        cuts = found.slices(self.partitions)
        shares = [self._share(found, found.rank[cut], cut) for cut in cuts]
        results = self.spread(partial(_settled_share, shelf=self.shelf, threshold=self.company.threshold), shares)
        done = [(cut.start + part.by, part.jaccard) for cut, part in zip(cuts, results, strict=True)]
        by = np.concatenate([np.empty(0, np.int64), *(by for by, _ in done)])
        return Settled(by, np.concatenate([np.empty(0), *(jaccard for _, jaccard in done)]))

    def _share(
        self, found: Buckets, rows: NDArray[np.int64], cut: slice, label: NDArray[np.int64] | None = None
    ) -> Share:
        lines, member = np.unique(self.company.place[rows], return_inverse=True)
        first = found.first[cut] - cut.start
        return Share(member, first, label, self.company.rows[lines], self.company.signatures[lines])


@dataclass(frozen=True)
class Share:
    """What one task judges: M members of whole buckets or clusters, which are among D documents."""

    member: NDArray[np.int64]
    """(M,) which of the documents"""
    first: NDArray[np.int64]
    """(M,) position of its bucket's first member"""
    label: NDArray[np.int64] | None
    """(M,) component so far"""
    rows: NDArray[np.int64]
    """(D,) ascending"""
    signatures: NDArray[np.uint8]
    """(D, num_perm)"""

    @property
    def buckets(self) -> Buckets:
        """The members by their position in the share."""
        return Buckets(np.arange(len(self.member)), self.first)

    def verifier(self, threshold: float, sets: csr_array) -> Verifier:
        """Judges positions in the share."""
        return Verifier(self.member, sets, self.signatures, threshold)


def _edges_of_share(share: Share, shelf: Shelf | Store, threshold: float) -> Edges:
    """Edges between positions in the share."""
    num, found, here = len(share.rows), share.buckets, np.arange(len(share.member))
    assert share.label is not None
    blind = share.verifier(threshold, csr_array((num, 1)))
    lines = np.unique(share.member[_in_doubt(found, blind)])
    sets = lines_at(shelf.sets(share.rows[lines]), lines, num)
    return star_edges(found, share.label, here, share.verifier(threshold, sets))


def _in_doubt(found: Buckets, verifier: Verifier) -> NDArray[np.int64]:
    """Positions whose shingles may be asked for: members that their hub's signature does not settle, with that hub, and
    those it may reject where there are two, for they will be compared with each other."""
    members = np.flatnonzero(found.place > 0)
    hubs = found.first[members]
    estimate = verifier.estimate(found.rank[hubs], found.rank[members])
    rejected = estimate <= verifier.threshold + verifier.margin
    unsure = rejected & (estimate >= verifier.threshold - verifier.margin)
    several = np.bincount(hubs[rejected], minlength=len(found.rank))[hubs] > 1
    return np.concatenate([hubs[unsure], members[unsure | (rejected & several)]])


def _settled_share(share: Share, shelf: Shelf | Store, threshold: float) -> Settled:
    return settle(share.buckets, share.verifier(threshold, shelf.sets(share.rows)))
