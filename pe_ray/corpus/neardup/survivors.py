"""Which document of a cluster of near-duplicates stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from pe_ray.corpus.neardup.bands import Buckets, grouped
from pe_ray.corpus.neardup.clusters import Clusters

CLUSTER_SCHEMA = pa.schema(
    [("row", pa.int64()), ("root", pa.int64()), ("jaccard", pa.float64()), ("survivor", pa.int64())]
)
"""A document in company: its row, its cluster's smallest row, its exact Jaccard to its survivor, and that one's row."""


@dataclass(frozen=True)
class Survivors:
    """`keep` (N,) bool over all documents; `clusters`, a table of `CLUSTER_SCHEMA` over those in company, by row."""

    keep: NDArray[np.bool_]
    clusters: pa.Table


def survivors(
    clusters: Clusters,
    ids: Sequence[str] | pa.Array | pa.ChunkedArray,
    *,
    quality: ArrayLike | None = None,
    licence_rank: ArrayLike | None = None,
    source_priority: ArrayLike | None = None,
    gone: ArrayLike | None = None,
) -> Survivors:
    """Choose who stays: the highest quality, then licence rank, then source priority, then the smallest id.

    All are given for the N documents, in their order; a key that is absent decides nothing. `gone` is true for
    documents that are out already (unusable, or known to an index): they are not kept, and remove nobody.

    A document is removed only if its own exact Jaccard with its survivor reaches the threshold, so that no removal is
    false however a cluster chains: the best of the cluster stays and removes those that resemble it, the best of the
    others stays and removes among the others, and so on. A chain thus leaves several survivors, no two of them alike;
    it costs survivors x members estimates.

    The same documents with the same keys give the same survivors in any order, if no id occurs twice. Raises
    ValueError if a key has another length than N or holds what is not a number.
    """
    root, num = clusters.root, len(clusters.root)
    keys = {"quality": quality, "licence_rank": licence_rank, "source_priority": source_priority}
    column, given = _checked(num, ids, {**keys, "gone": gone})
    out = given.pop("gone", np.zeros(num)) != 0
    found = _ranked(root, column, list(given.values()), out)
    settled = clusters.judge.settled(found)
    survivor, jaccard = np.arange(num), np.ones(num)
    survivor[found.rank], jaccard[found.rank] = found.rank[settled.by], settled.jaccard
    company = np.sort(found.rank)
    columns = [company, root[company], jaccard[company], survivor[company]]
    return Survivors((survivor == np.arange(num)) & ~out, pa.table(columns, schema=CLUSTER_SCHEMA))


def _checked(
    num: int, ids: Sequence[str] | pa.Array | pa.ChunkedArray, keys: Mapping[str, ArrayLike | None]
) -> tuple[pa.Array | pa.ChunkedArray, dict[str, NDArray[np.float64]]]:
    column = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
    given = {name: np.asarray(key, np.float64) for name, key in keys.items() if key is not None}
    for name, key in {"ids": column, **given}.items():
        if len(key) != num:
            raise ValueError(f"{name} has {len(key)} values for {num} documents")
    for name, key in given.items():
        if np.isnan(key).any():
            raise ValueError(f"{name} holds what is not a number, first at row {int(np.isnan(key).argmax())}")
    return column, given


def _ranked(
    root: NDArray[np.int64],
    ids: pa.Array | pa.ChunkedArray,
    keys: Sequence[NDArray[np.float64]],
    out: NDArray[np.bool_],
) -> Buckets:
    """The clusters as buckets, best member first; `keys` with the weightiest first, more is better."""
    rows = np.flatnonzero(~out & (np.bincount(root[~out], minlength=len(root))[root] > 1))
    rows = rows[pc.sort_indices(ids.take(pa.array(rows))).to_numpy()]
    for key in reversed(keys):
        rows = rows[np.argsort(-key[rows], kind="stable")]
    rows = rows[np.argsort(root[rows], kind="stable")]
    return grouped(rows, root[rows])
