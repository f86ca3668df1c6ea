"""Near-duplicates by verified MinHash LSH.

    clusters = near_duplicates(texts)                                # documents in memory
    clusters = near_duplicates_of(files, texts_of_a_file)            # documents that are read again when needed
    decision = survivors(clusters, ids, quality=scores)
    table.filter(decision.keep)

Band collisions alone are not duplicates: their transitive closure eats unrelated documents that share boilerplate.
Here each edge is verified before it joins anything, and nobody is removed but for a survivor that it really resembles.
`near_duplicates` runs in one thread; how `near_duplicates_of` runs, its `spread` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pe_ray.corpus.neardup.bands import bucketed
from pe_ray.corpus.neardup.edges import components, verified_edges
from pe_ray.corpus.neardup.judges import Company, Elsewhere, Here
from pe_ray.corpus.neardup.reading import Reading, Spread, Texts, canonical, read, read_block
from pe_ray.corpus.neardup.settings import Settings
from pe_ray.corpus.neardup.shelf import Shelf
from pe_ray.corpus.neardup.verify import shingle_sets

T = TypeVar("T")


@dataclass(frozen=True)
class Clusters:
    """Which of N documents belong together.

    `root` (N,) int64 names a document's cluster by its smallest row; a document without company is its own. It suits
    as the key that keeps near-duplicates on one side of a split. `judge` compares documents in company for `survivors`.
    """

    root: NDArray[np.int64]
    judge: Here | Elsewhere = field(repr=False)
    facts: dict[str, int]
    """documents, too_short (under n words: never compared), repeats (the same shingles as another), verified (pairs
    looked at), edges, capped_buckets, clusters, largest."""


def near_duplicates(
    texts: Texts,
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
    settings = Settings(num_perm, bands, ngram, threshold, seed, chunk, bucket_cap)
    reading, parts = read(texts, settings)
    return _clustered(reading, settings, lambda company: Here(company.verifier(shingle_sets(parts, company.rows))))


def near_duplicates_of(
    blocks: Sequence[T],
    text_of: Callable[[T], pa.Array | pa.ChunkedArray],
    *,
    num_perm: int = 128,
    bands: int = 16,
    ngram: int = 3,
    threshold: float = 0.7,
    seed: int = 42,
    chunk: int = 5000,
    bucket_cap: int = 1000,
    spread: Spread = map,
    partitions: int = 1,
    scratch: Path | None = None,
) -> Clusters:
    """Cluster the documents of all blocks, one block after the other, as `near_duplicates` would cluster them at once.

    `text_of` reads a block, whenever it is called the same documents in the same order. `spread` calls a function on
    each of some items, anywhere, and yields the results in order; functions, blocks and `text_of` must be picklable
    where it needs that. This process holds about 270 bytes a document while buckets are made. With one partition it
    then reads the shingles of all documents in company and verifies; with more, the buckets of a band are shared out
    to so many tasks, which read the shingles that they need, and this process holds no shingles at all. They read the
    blocks again for each band, or files in `scratch` (an empty folder that all tasks reach, and that must outlive the
    clusters) to which the shingles of documents in company are written once; that costs far less.

    Clusters and facts do not depend on the cut into blocks, on their order, nor on any of the last three. Raises
    what `near_duplicates` raises, and SourceError for a block that holds another number of documents when read again.
    """
    settings = Settings(num_perm, bands, ngram, threshold, seed, chunk, bucket_cap)
    if partitions < 1:
        raise ValueError(f"partitions={partitions} is not 1 or more")
    parts = list(spread(partial(read_block, text_of=text_of, settings=settings), blocks))
    first = np.cumsum([0, *(len(part.counts) for part in parts)])
    shelf = Shelf(blocks, first, text_of, settings)

    def judge(company: Company) -> Here | Elsewhere:
        if partitions > 1:
            store = shelf if scratch is None else shelf.stored(company.rows, scratch, spread)
            return Elsewhere(company, store, spread, partitions)
        return Here(company.verifier(shelf.sets(company.rows, spread)))

    return _clustered(Reading.joined(parts, settings), settings, judge)


def _clustered(reading: Reading, settings: Settings, judge_of: Callable[[Company], Here | Elsewhere]) -> Clusters:
    order, repeats = canonical(reading)
    cut, capped = bucketed(reading.keys[:, order], settings.bucket_cap)
    rows = order[np.concatenate([b.rank for b in cut])]
    judge = judge_of(Company.of(reading, rows, repeats, settings.threshold))
    edges = verified_edges(cut, len(order), partial(judge.edges, order=order))
    root = components(len(reading.counts), [order[edges.pairs], repeats])
    sizes = np.bincount(root, minlength=1)
    facts = {
        "documents": len(root),
        "too_short": int(np.count_nonzero(reading.counts == 0)),
        "repeats": repeats.shape[1],
        "verified": edges.verified,
        "edges": edges.pairs.shape[1],
        "capped_buckets": capped,
        "clusters": int(np.count_nonzero(sizes > 1)),
        "largest": int(sizes.max()),
    }
    return Clusters(root, judge, facts)
