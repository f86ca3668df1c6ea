"""Verified edges between documents that met in a bucket: a star around its hub, and new hubs for the rejected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """Pairs of rows (2, E) that the verifier found alike."""

    pairs: NDArray[np.int64] = field(repr=False)
    verified: int
    """How many pairs were looked at."""


def verified_edges(bands: Iterable[Buckets], order: NDArray[np.int64], verifier: Verifier) -> Edges:
    """Star edges of each bucket that the verifier accepts; `order[rank]` is a member's row.

    Members that earlier bands have joined to their hub, over whatever path, are not looked at again: another edge
    would not change the components.
    """
    label, accepted, verified = np.arange(len(order)), [np.empty((2, 0), np.int64)], 0
    for found in bands:
        fresh = []
        for _ in range(1 + REHUB_ROUNDS):
            if not found.rank.size:
                break
            hub = found.rank[found.first]
            joined = label[hub] == label[found.rank]
            ask = np.flatnonzero(~joined)
            verdict = verifier.alike(order[hub[ask]], order[found.rank[ask]])
            fresh.append(np.stack([hub[ask][verdict], found.rank[ask][verdict]]))
            verified += len(ask)
            joined[ask] = verdict
            found = found.without(joined)
        accepted += fresh
        if sum(e.shape[1] for e in fresh):
            label = components(len(order), [label[e] for e in fresh])[label]
    return Edges(order[np.concatenate(accepted, axis=1)], verified)


def components(num: int, edges: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The smallest member of each node's connected component (num,), for edges (2, E)."""
    left, right = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(num, num))
    _, label = connected_components(graph, directed=False)
    _, smallest = np.unique(label, return_index=True)
    return smallest[label]
