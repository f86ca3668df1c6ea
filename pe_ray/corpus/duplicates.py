"""Which records say the same: exactly, nearly, or in other words; and which of them stays.

All follow one policy: a usable record before one that is not, then quality (the mean of its check scores), then the
licence, then the share of its source, then the smallest id. What was found lies under a key of the shards and settings
that it follows from, so that a change of thresholds finds it:

    corpora/<name>/duplicates/<key>/found.parquet      a row for each record, in the order of `shards.read_keys`
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pe_ray.config import CorpusConfig
from pe_ray.corpus.neardup import Index, Matches, Settings, matches_of, near_duplicates_of, survivors
from pe_ray.corpus.shards import RECORDS, intact
from pe_ray.corpus.stages import score_column
from pe_ray.errors import UserError
from pe_ray.record import digest
from pe_ray.store import manifest
from pe_ray.store.paths import Home

KINDS = ("survivor", "exact", "near", "semantic", "indexed")
MILLION = 1_000_000
VERSION = "2"

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""Calls a function on each item, anywhere, and yields the results in order."""


@dataclass(frozen=True)
class Duplicates:
    """What N records have in common."""

    stands_for: NDArray[np.int64]
    """(N,) the row that stays in a record's place; its own, if it stays or an indexed record stays."""
    kind: NDArray[np.int8]
    """(N,) index into KINDS: why it goes."""
    likeness: NDArray[np.float64]
    """(N,) Jaccard (exact, near, indexed) or cosine (semantic) with what stays."""
    root: NDArray[np.int64]
    """(N,) near-duplicate cluster, named by one of its rows."""
    outside: Mapping[int, str]
    """Row to id in the index, for those of kind `indexed`."""
    facts: Mapping[str, int]
    """What the near-duplicate engine counted."""


def none(num: int) -> Duplicates:
    """N records that have nothing in common."""
    own = np.arange(num)
    return Duplicates(own, np.zeros(num, np.int8), np.ones(num), own.copy(), {}, {})  # both are written to


def check(config: CorpusConfig) -> None:
    """Say at once what would stop a long run later.

    Raises UserError for an index that is not there or of other settings, and for an embedder that cannot be loaded.
    """
    told = config.duplicates
    if told.index:
        if not manifest.is_finished(told.index):
            raise UserError(
                f"corpus.duplicates.index={told.index}: holds no finished index; give the folder `index` of a corpus "
                "that was built with duplicates.save_index"
            )
        Index.open(told.index, _settings(config))
    if told.semantic:
        from pe_ray.corpus.semantic import load  # scikit-learn, which nothing else here needs

        load(told.semantic)


def find(keys: pa.Table, shards: Sequence[Path], config: CorpusConfig, home: Home, spread: Spread) -> Duplicates:
    """The duplicates among all records; `keys` is what `read_keys` gives for the shards.

    Raises what `check` raises.
    """
    rank = ranking(keys, config, usable(keys))
    if not config.duplicates.near or not len(keys):
        return _semantic(exact(keys, rank), keys, shards, config, rank)
    target = home.corpus(config.name, "duplicates") / _key(shards, config)
    if not intact(target, "duplicates"):
        manifest.sweep(target.parent)
        with manifest.stage(target, kind="duplicates", parents={}) as out:
            found = _near(exact(keys, rank), keys, shards, config, rank, spread, out / "scratch")
            found = _semantic(found, keys, shards, config, rank)
            _save(found, out.path)
    return _load(target)


def usable(keys: pa.Table) -> NDArray[np.bool_]:
    """Whether each record has words left, and none of an evaluation set's."""
    return pc.and_(pc.is_null(keys["fault"]), pc.is_null(keys["contaminated"])).to_numpy(zero_copy_only=False)


def _near(
    found: Duplicates,
    keys: pa.Table,
    shards: Sequence[Path],
    config: CorpusConfig,
    rank: NDArray[np.int64],
    spread: Spread,
    scratch: Path,
) -> Duplicates:
    """Near-duplicates beside exact ones, and what an index knows already."""
    told, row_of, blocks = config.duplicates, _rows_by_document(keys, shards), list(shards)
    settings = _settings(config)
    shares = told.partitions or 1 + (len(keys) // MILLION if len(keys) >= 3 * MILLION else 0)
    scratch.mkdir()
    clusters = near_duplicates_of(
        blocks,
        texts_of,
        **asdict(settings),
        spread=spread,
        partitions=shares,
        scratch=scratch if shares > 1 else None,
    )
    known = _known(told.index, settings, blocks, keys["id"].take(pa.array(row_of)), spread)
    out = ~usable(keys)[row_of] | known.found
    decided = survivors(clusters, keys["id"].take(pa.array(row_of)), quality=-rank[row_of], gone=out).clusters
    shutil.rmtree(scratch)
    found.root[row_of] = row_of[clusters.root]
    gone, stays = row_of[decided["row"].to_numpy()], row_of[decided["survivor"].to_numpy()]
    fresh = (gone != stays) & (found.kind[gone] == 0)
    found.stands_for[gone[fresh]], found.kind[gone[fresh]] = stays[fresh], KINDS.index("near")
    found.likeness[gone[fresh]] = decided["jaccard"].to_numpy()[fresh]
    rows = row_of[known.found]
    found.stands_for[rows], found.kind[rows], found.likeness[rows] = (
        rows,
        KINDS.index("indexed"),
        known.jaccard[known.found],
    )
    outside = dict(zip(rows.tolist(), known.survivor.filter(pa.array(known.found)).to_pylist(), strict=True))
    return replace(_settled(found, "near"), outside=outside, facts=clusters.facts)


def _settings(config: CorpusConfig) -> Settings:
    told = config.duplicates
    return Settings(told.permutations, told.bands, told.ngram, told.threshold)


def _known(folder: Path | None, settings: Settings, blocks: Sequence[Path], ids: pa.Array, spread: Spread) -> Matches:
    """What an index knows of the documents; nothing without one."""
    if folder is None:
        return Matches(np.full(len(ids), -1), np.zeros(len(ids)), pa.nulls(len(ids), pa.string()))
    return matches_of(Index.open(folder, settings), blocks, texts_of, ids=ids, spread=spread)


def _semantic(
    found: Duplicates, keys: pa.Table, shards: Sequence[Path], config: CorpusConfig, rank: NDArray[np.int64]
) -> Duplicates:
    """Of what still stands, the records that mean the same."""
    if config.duplicates.semantic is None:
        return found
    from pe_ray.corpus.semantic import semantic_duplicates  # scikit-learn, which nothing else here needs

    row_of = _rows_by_document(keys, shards)
    texts = pa.chunked_array([texts_of(shard) for shard in shards], pa.string())
    standing = np.flatnonzero((found.kind[row_of] == 0) & usable(keys)[row_of])
    rows, taken = row_of[standing], pa.array(standing)
    decided = semantic_duplicates(
        texts.take(taken),
        keys["id"].take(pa.array(rows)),
        embedder=config.duplicates.semantic,
        threshold=config.duplicates.semantic_threshold,
        priority=-rank[rows],
    )
    gone = ~decided.keep
    found.stands_for[rows[gone]], found.kind[rows[gone]] = rows[decided.survivor[gone]], KINDS.index("semantic")
    found.likeness[rows[gone]] = decided.cosine[gone]
    return _settled(found, "semantic")


def _settled(found: Duplicates, kind: str) -> Duplicates:
    """With what finally stays: a record whose survivor has gone in turn stands for what that one does, and as it does.

    An exact duplicate of a record that is nearly the same as another is nearly the same as that one itself.
    """
    last = found.stands_for[found.stands_for]
    moved = last != found.stands_for
    found.kind[moved], found.likeness[moved] = KINDS.index(kind), found.likeness[found.stands_for[moved]]
    return replace(found, stands_for=last)


def _key(shards: Sequence[Path], config: CorpusConfig) -> str:
    told = config.duplicates.model_dump(mode="json", exclude={"partitions", "save_index"})
    index = manifest.file_hash(config.duplicates.index / manifest.NAME) if config.duplicates.index else ""
    return digest(VERSION, json.dumps([told, config.targets], sort_keys=True), index, *sorted(s.name for s in shards))


def _save(found: Duplicates, folder: Path) -> None:
    names = ("stands_for", "kind", "likeness", "root")
    outside = [found.outside.get(row) for row in range(len(found.root))]
    table = pa.table({**{n: getattr(found, n) for n in names}, "outside": pa.array(outside, pa.string())})
    pq.write_table(table, folder / "found.parquet", compression="zstd")
    (folder / "facts.json").write_text(json.dumps(dict(found.facts)), encoding="utf-8")


def _load(folder: Path) -> Duplicates:
    table = pq.read_table(folder / "found.parquet")
    outside = {row: name for row, name in enumerate(table["outside"].to_pylist()) if name is not None}
    arrays = [table[n].to_numpy() for n in ("stands_for", "kind", "likeness", "root")]
    return Duplicates(*arrays, outside, json.loads((folder / "facts.json").read_text(encoding="utf-8")))


def _rows_by_document(keys: pa.Table, shards: Sequence[Path]) -> NDArray[np.int64]:
    """(N,) the row of `keys` of each document, documents being counted through the shards in order."""
    sizes = np.bincount(keys["shard"].to_numpy(), minlength=len(shards))
    document = (np.cumsum(sizes) - sizes)[keys["shard"].to_numpy()] + keys["position"].to_numpy()
    row_of = np.empty(len(keys), np.int64)
    row_of[document] = np.arange(len(keys))
    return row_of


def exact(keys: pa.Table, rank: NDArray[np.int64]) -> Duplicates:
    """Records with the same words; the one with the smallest rank stays. A record with a fault stands for itself."""
    found = none(len(keys))
    with_words = np.flatnonzero(pc.is_null(keys["fault"]).to_numpy(zero_copy_only=False))
    codes = keys["text_key"].combine_chunks().dictionary_encode().indices.to_numpy()[with_words]
    order = np.lexsort((rank[with_words], codes))
    rows, codes = with_words[order], codes[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = codes[1:] != codes[:-1]
    best = rows[first][np.cumsum(first) - 1]
    found.stands_for[rows] = best
    found.kind[rows[~first]] = KINDS.index("exact")
    return found


def ranking(keys: pa.Table, config: CorpusConfig, usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) place of each record under the policy, 0 the best."""
    by_id = pc.sort_indices(keys.select(["id", "row_key"]), [("id", "ascending"), ("row_key", "ascending")]).to_numpy()
    by_name = np.empty(len(keys), np.int64)
    by_name[by_id] = np.arange(len(keys))
    order = np.lexsort((by_name, -_share(keys, config), _licence(keys, config), -quality(keys), ~usable))
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys))
    return rank


def quality(keys: pa.Table) -> NDArray[np.float64]:
    """(N,) mean of the scores of each record's checks, to four decimals; 0 without any."""
    names = [n for n in keys.schema.names if n.startswith(score_column(""))]
    scores = np.stack([keys[n].to_numpy().astype(np.float64) for n in names]) if names else np.zeros((1, len(keys)))
    said = ~np.isnan(scores)
    return np.round(np.where(said, scores, 0).sum(0) / np.maximum(said.sum(0), 1), 4)


def _licence(keys: pa.Table, config: CorpusConfig) -> NDArray[np.int64]:
    order = config.duplicates.licence_order
    place = pc.fill_null(pc.index_in(keys["licence"], pa.array(order, pa.string())), len(order))
    return place.to_numpy()


def _share(keys: pa.Table, config: CorpusConfig) -> NDArray[np.float64]:
    coded = keys["source"].combine_chunks().dictionary_encode()
    shares = np.array([config.targets.get(s, 0.0) for s in coded.dictionary.to_pylist()] or [0.0])
    return shares[coded.indices.to_numpy()] if len(keys) else np.zeros(0)


def texts_of(shard: Path) -> pa.Array:
    """What is said in each record of a shard, all turns in order."""
    messages = pq.read_table(shard / RECORDS, columns=["messages"])["messages"].combine_chunks()
    words = pc.struct_field(messages.flatten(), "text")
    return pc.binary_join(pa.ListArray.from_arrays(messages.offsets, words), "\n")


def clusters(ids: pa.ChunkedArray, found: Duplicates) -> pa.Table:
    """Every record that has company, as a table of `CLUSTERS_SCHEMA` by cluster and id; also what stays of a chain."""
    cluster = found.root[found.stands_for]  # that of what stays, where only the words or the meaning are the same
    rows = np.flatnonzero((found.kind > 0) | (np.bincount(cluster, minlength=len(ids))[cluster] > 1))
    taken = ids.take(pa.array(rows))
    outside = [found.outside.get(row) for row in rows.tolist()]
    survivor = ids.take(pa.array(found.stands_for[rows])).to_pylist()
    columns = {
        "record_id": taken,
        "cluster": ids.take(pa.array(cluster[rows])),
        "survivor": pa.array([o or s for o, s in zip(outside, survivor, strict=True)], pa.string()),
        "likeness": pa.array(np.round(found.likeness[rows], 4)),
        "kind": pa.array(np.array(KINDS, object)[found.kind[rows]], pa.string()),
    }
    table = pa.table(columns, schema=CLUSTERS_SCHEMA)
    return table.sort_by([("cluster", "ascending"), ("record_id", "ascending"), ("kind", "ascending")]).combine_chunks()


CLUSTERS_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("cluster", pa.string()),
        ("survivor", pa.string()),
        ("likeness", pa.float64()),  # with the survivor: Jaccard, or cosine for `semantic`; 1 for itself
        ("kind", pa.string()),  # one of KINDS
    ]
)
