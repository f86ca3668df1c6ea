"""Near-duplicates by verified MinHash LSH, and which document of a cluster stays.

    clusters = near_duplicates(texts)
    decision = survivors(clusters, ids, quality=scores)
    table.filter(decision.keep)

Band collisions alone are not duplicates: their transitive closure eats unrelated documents that share boilerplate.
Here each edge is verified before it joins anything, and nobody is removed but for a survivor that it really resembles.
Everything runs in one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from pe_ray.corpus.neardup.bands import Buckets, bucketed, grouped
from pe_ray.corpus.neardup.edges import components, verified_edges
from pe_ray.corpus.neardup.shingles import Shingles, blocks, shingle
from pe_ray.corpus.neardup.signatures import band_keys, sign
from pe_ray.corpus.neardup.verify import Verifier, shingle_sets

LEADS = 16
"""Members of a cluster that are judged against the rest together, once its best has been: chains of thousands of
documents would take as many rounds as they have survivors."""

CLUSTER_SCHEMA = pa.schema(
    [("row", pa.int64()), ("root", pa.int64()), ("jaccard", pa.float64()), ("survivor", pa.int64())]
)
"""A document in company: its row, its cluster's smallest row, its exact Jaccard to its survivor, and that one's row."""


@dataclass(frozen=True)
class Clusters:
    """Which of N documents belong together.

    `root` (N,) int64 names a document's cluster by its smallest row; a document without company is its own. It suits
    as the key that keeps near-duplicates on one side of a split. The verifier holds shingles and signatures of the
    documents that met another one in a bucket, about 1.4 KB for 140 words.
    """

    root: NDArray[np.int64]
    verifier: Verifier = field(repr=False)
    facts: dict[str, int]
    """documents, too_short (under n words: never compared), repeats (the same shingles as another), verified (pairs
    looked at), edges, capped_buckets, clusters, largest."""


@dataclass(frozen=True)
class Survivors:
    """`keep` (N,) bool over all documents; `clusters`, a table of `CLUSTER_SCHEMA` over those in company, by row."""

    keep: NDArray[np.bool_]
    clusters: pa.Table


def near_duplicates(
    texts: pa.Array | pa.ChunkedArray | Sequence[str],
    *,
    num_perm: int = 128,
    bands: int = 16,
    ngram: int = 3,
    threshold: float = 0.7,
    seed: int = 42,
    chunk: int = 5000,
    bucket_cap: int = 1000,
) -> Clusters:
    """Cluster N texts whose word-`ngram` Jaccard reaches `threshold`.

    Two documents at Jaccard J meet in some bucket with probability 1-(1-J^r)^bands, r = num_perm / bands: .95 at .8,
    .82 at .75 by default. A bucket's members are verified against its first; what that one rejects gets a new hub from
    among itself, at most three times. Clusters are the connected components of verified edges and so may chain;
    `survivors` compares again before it removes anything.

    The clusters do not depend on the order of the texts, nor on `chunk` (documents shingled at a time, fewer where they
    are long). A text under `ngram` words has no shingle and no company. Null counts as empty.

    Raises ValueError if a number is out of range or `bands` does not divide `num_perm`.
    """
    _check(num_perm, bands, ngram, threshold, chunk, bucket_cap)
    read = _read(texts, num_perm, bands, ngram, seed, chunk)
    order, repeats = _canonical(read)
    cut, capped = bucketed(read.keys[:, order], bucket_cap)
    verifier = _verifier(read, order[np.concatenate([b.rank for b in cut])], repeats, threshold)
    edges = verified_edges(cut, order, verifier)
    root = components(len(read.counts), [edges.pairs, repeats])
    sizes = np.bincount(root, minlength=1)
    facts = {
        "documents": len(root),
        "too_short": int(np.count_nonzero(read.counts == 0)),
        "repeats": repeats.shape[1],
        "verified": edges.verified,
        "edges": edges.pairs.shape[1],
        "capped_buckets": capped,
        "clusters": int(np.count_nonzero(sizes > 1)),
        "largest": int(sizes.max()),
    }
    return Clusters(root, verifier, facts)


def survivors(
    clusters: Clusters,
    ids: Sequence[str] | pa.Array | pa.ChunkedArray,
    *,
    quality: ArrayLike | None = None,
    licence_rank: ArrayLike | None = None,
    source_priority: ArrayLike | None = None,
) -> Survivors:
    """Choose who stays: the highest quality, then licence rank, then source priority, then the smallest id.

    All are given for the N documents, in their order; a key that is absent decides nothing.

    A document is removed only if its own exact Jaccard with its survivor reaches the threshold, so that no removal is
    false however a cluster chains: the best of the cluster stays and removes those that resemble it, the best of the
    others stays and removes among the others, and so on. A chain thus leaves several survivors, no two of them alike;
    it costs survivors x members estimates.

    The same documents with the same keys give the same survivors in any order, if no id occurs twice. Raises
    ValueError if a key has another length than N or holds what is not a number.
    """
    root, rows = clusters.root, np.arange(len(clusters.root))
    keys = {"quality": quality, "licence_rank": licence_rank, "source_priority": source_priority}
    found = _ranked(root, *_checked(len(root), ids, keys))
    survivor, jaccard, company, leads = rows.copy(), np.ones(len(root)), np.sort(found.rank), 1
    while found.rank.size:
        by, measured = _remove(found, clusters.verifier, leads)
        gone = by >= 0
        survivor[found.rank[gone]], jaccard[found.rank[gone]] = found.rank[by[gone]], measured[gone]
        found, leads = found.without(gone | (found.place < leads)), LEADS
    columns = [company, root[company], jaccard[company], survivor[company]]
    return Survivors(survivor == rows, pa.table(columns, schema=CLUSTER_SCHEMA))


def _remove(found: Buckets, verifier: Verifier, leads: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Let the best `leads` members of each bucket, one after the other, remove those after them that are alike.

    Returns for each member (M,) the position of the one that removes it, -1 for none, and their exact Jaccard. Pairs
    are judged together and settled in turn: whoever is removed removes nobody.
    """
    members = [np.flatnonzero(found.place > lead) for lead in range(leads)]
    hubs = [found.first[member] + lead for lead, member in enumerate(members)]
    measured = verifier.jaccard_of_alike(found.rank[np.concatenate(hubs)], found.rank[np.concatenate(members)])
    by, jaccard = np.full(len(found.rank), -1), np.ones(len(found.rank))
    starts = np.cumsum([len(m) for m in members])[:-1]
    for hub, member, value in zip(hubs, members, np.split(measured, starts), strict=True):
        removes = (value >= verifier.threshold) & (by[hub] < 0) & (by[member] < 0)
        by[member[removes]], jaccard[member[removes]] = hub[removes], value[removes]
    return by, jaccard


def _check(num_perm: int, bands: int, ngram: int, threshold: float, chunk: int, bucket_cap: int) -> None:
    for name, value in {"bands": bands, "ngram": ngram, "chunk": chunk, "num_perm": num_perm}.items():
        if value < 1:
            raise ValueError(f"{name}={value} is not 1 or more")
    if num_perm % bands:
        raise ValueError(f"bands={bands} does not divide num_perm={num_perm}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold={threshold} is not above 0 and at most 1")
    if bucket_cap < 2:
        raise ValueError(f"bucket_cap={bucket_cap} is not 2 or more")


@dataclass(frozen=True)
class _Reading:
    """What one pass over N texts leaves."""

    parts: list[Shingles]
    counts: NDArray[np.int64]
    """(N,) shingles of each text, repetitions included."""
    content: NDArray[np.uint64]
    """(N,) hash over those shingles."""
    signatures: NDArray[np.uint8]
    """(N, num_perm) lowest byte of each slot."""
    keys: NDArray[np.uint64]
    """(bands, N)"""


def _read(
    texts: pa.Array | pa.ChunkedArray | Sequence[str], num_perm: int, bands: int, ngram: int, seed: int, chunk: int
) -> _Reading:
    parts: list[Shingles] = []
    counts, content = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    signatures, keys = [np.empty((0, num_perm), np.uint8)], [np.empty((bands, 0), np.uint64)]
    for block in blocks(texts, chunk):
        part = shingle(block, ngram)
        signature = sign(part, num_perm, seed)
        parts.append(part)
        counts.append(part.counts)
        content.append(part.content())
        signatures.append(signature.astype(np.uint8))
        keys.append(band_keys(signature, bands, seed))
    return _Reading(
        parts,
        np.concatenate(counts),
        np.concatenate(content),
        np.concatenate(signatures),
        np.concatenate(keys, axis=1),
    )


def _canonical(read: _Reading) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of distinct content in the order of its hash, so that hubs follow from what documents say and not from
    where they stand; and pairs (2, P) of rows whose shingles are the same."""
    rows = np.flatnonzero(read.counts)
    rows = rows[np.argsort(read.content[rows], kind="stable")]
    new = np.ones(len(rows), np.bool_)
    new[1:] = read.content[rows[1:]] != read.content[rows[:-1]]
    leader = rows[new][np.cumsum(new) - 1]
    return rows[new], np.stack([leader[~new], rows[~new]])


def _verifier(read: _Reading, rows: NDArray[np.int64], repeats: NDArray[np.int64], threshold: float) -> Verifier:
    """A verifier of these rows and of what is repeated; the shingles of all others can be forgotten."""
    wanted = np.zeros(len(read.counts), np.bool_)
    wanted[rows] = wanted[repeats[0]] = True
    rows, place = np.flatnonzero(wanted), np.full(len(wanted), -1)
    place[rows] = np.arange(len(rows))
    place[repeats[1]] = place[repeats[0]]
    return Verifier(place, shingle_sets(read.parts, rows), read.signatures[rows], threshold)


def _checked(
    num: int, ids: Sequence[str] | pa.Array | pa.ChunkedArray, keys: Mapping[str, ArrayLike | None]
) -> tuple[pa.Array | pa.ChunkedArray, list[NDArray[np.float64]]]:
    column = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
    given = {name: np.asarray(key, np.float64) for name, key in keys.items() if key is not None}
    for name, key in {"ids": column, **given}.items():
        if len(key) != num:
            raise ValueError(f"{name} has {len(key)} values for {num} documents")
    for name, key in given.items():
        if np.isnan(key).any():
            raise ValueError(f"{name} holds what is not a number, first at row {int(np.isnan(key).argmax())}")
    return column, list(given.values())


def _ranked(root: NDArray[np.int64], ids: pa.Array | pa.ChunkedArray, keys: Sequence[NDArray[np.float64]]) -> Buckets:
    """The clusters as buckets, best member first; `keys` with the weightiest first, more is better."""
    rows = np.flatnonzero(np.bincount(root, minlength=len(root))[root] > 1)
    rows = rows[pc.sort_indices(ids.take(pa.array(rows))).to_numpy()]
    for key in reversed(keys):
        rows = rows[np.argsort(-key[rows], kind="stable")]
    rows = rows[np.argsort(root[rows], kind="stable")]
    return grouped(rows, root[rows])
