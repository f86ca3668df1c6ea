"""Who of a cluster removes whom: the best stays and removes what resembles it, then the best of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pe_ray.corpus.neardup.bands import Buckets
from pe_ray.corpus.neardup.verify import Verifier

LEADS = 16
"""Members of a cluster that are judged against the rest together, once its best has been: chains of thousands of
documents would take as many rounds as they have survivors."""


@dataclass(frozen=True)
class Settled:
    """For each member (M,) of some clusters the position of the one that stays for it, its own if it stays itself, and
    their exact Jaccard."""

    by: NDArray[np.int64]
    jaccard: NDArray[np.float64]


def settle(found: Buckets, verifier: Verifier) -> Settled:
    """Settle clusters whose members stand in the order in which they should stay. No cluster knows of another."""
    settled = Settled(np.arange(len(found.rank)), np.ones(len(found.rank)))
    left, leads = Buckets(settled.by.copy(), found.first), 1
    while left.rank.size:
        by, measured = _remove(left, found.rank[left.rank], verifier, leads)
        gone = by >= 0
        settled.by[left.rank[gone]], settled.jaccard[left.rank[gone]] = left.rank[by[gone]], measured[gone]
        left, leads = left.without(gone | (left.place < leads)), LEADS
    return settled


def _remove(
    left: Buckets, rows: NDArray[np.int64], verifier: Verifier, leads: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Let the best `leads` members of each cluster, one after the other, remove those after them that are alike.

    Returns for each member (M,) the position of the one that removes it, -1 for none, and their exact Jaccard. Pairs
    are judged together and settled in turn: whoever is removed removes nobody.
    """
    members = [np.flatnonzero(left.place > lead) for lead in range(leads)]
    hubs = [left.first[member] + lead for lead, member in enumerate(members)]
    measured = verifier.jaccard_of_alike(rows[np.concatenate(hubs)], rows[np.concatenate(members)])
    by, jaccard = np.full(len(rows), -1), np.ones(len(rows))
    starts = np.cumsum([len(m) for m in members])[:-1]
    for hub, member, value in zip(hubs, members, np.split(measured, starts), strict=True):
        removes = (value >= verifier.threshold) & (by[hub] < 0) & (by[member] < 0)
        by[member[removes]], jaccard[member[removes]] = hub[removes], value[removes]
    return by, jaccard
