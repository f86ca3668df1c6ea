"""Verified edges between documents that met in a bucket: a star around its hub, and new hubs for the rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pe_ray.corpus.neardup.bands import Buckets
from pe_ray.corpus.neardup.verify import Verifier

REHUB_ROUNDS = 3
"""How often what a bucket's hub rejects gets a new hub from among itself."""


@dataclass(frozen=True)
class Edges:
    """Pairs (2, E) that the verifier found alike."""

    pairs: NDArray[np.int64] = field(repr=False)
    verified: int
    """How many pairs were looked at."""


Judge = Callable[[Buckets, NDArray[np.int64]], Edges]
"""Edges between ranks in the buckets of one band, for the `label` of each rank: its component so far."""


def verified_edges(bands: Iterable[Buckets], num: int, judge: Judge) -> Edges:
    """Edges between `num` ranks in all bands, one band after the other.

    Members that earlier bands have joined to their hub, over whatever path, are not looked at again: another edge
    would not change the components. Inside a band no bucket knows of another, so that they can be judged anywhere.
    """
    label, accepted, verified = np.arange(num), [np.empty((2, 0), np.int64)], 0
    for found in bands:
        fresh = judge(found, label)
        accepted.append(fresh.pairs)
        verified += fresh.verified
        if fresh.pairs.size:
            label = components(num, [label[fresh.pairs]])[label]
    return Edges(np.concatenate(accepted, axis=1), verified)


def star_edges(found: Buckets, label: NDArray[np.int64], order: NDArray[np.int64], verifier: Verifier) -> Edges:
    """Edges of each bucket that the verifier accepts; `order[rank]` is a member's row."""
    accepted, verified = [np.empty((2, 0), np.int64)], 0
    for _ in range(1 + REHUB_ROUNDS):
        if not found.rank.size:
            break
        hub = found.rank[found.first]
        joined = label[hub] == label[found.rank]
        ask = np.flatnonzero(~joined)
        verdict = verifier.alike(order[hub[ask]], order[found.rank[ask]])
        accepted.append(np.stack([hub[ask][verdict], found.rank[ask][verdict]]))
        verified += len(ask)
        joined[ask] = verdict
        found = found.without(joined)
    return Edges(np.concatenate(accepted, axis=1), verified)


def components(num: int, edges: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The smallest member of each node's connected component (num,), for edges (2, E)."""
    left, right = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(num, num))
    _, label = connected_components(graph, directed=False)
    _, smallest = np.unique(label, return_index=True)
    return smallest[label]
