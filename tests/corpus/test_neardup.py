"""Clusters and survivors: against slow obvious versions, in any order, and where naive removal goes wrong."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from pe_ray.bench.texts import jaccard, plant, shingles
from pe_ray.corpus.neardup import CLUSTER_SCHEMA, Clusters, near_duplicates, survivors
from pe_ray.corpus.neardup.bands import Buckets, bucketed
from pe_ray.corpus.neardup.edges import REHUB_ROUNDS, verified_edges

THRESHOLD = 0.7


@pytest.fixture(scope="module")
def planted():
    return plant(400, seed=3)


def words(num: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [f"w{rng.randrange(10**6)}" for _ in range(num)]


def partition(clusters: Clusters, names: list[int] | None = None) -> set[frozenset[int]]:
    """The clusters of two and more as sets of names (rows unless given)."""
    found = defaultdict(set)
    for row, root in enumerate(clusters.root.tolist()):
        found[root].add(row if names is None else names[row])
    return {frozenset(group) for group in found.values() if len(group) > 1}


def slow_partition(texts: list[str]) -> set[frozenset[int]]:
    """Connected components of all pairs at or above the threshold, pair by pair."""
    sets, group = [shingles(t) for t in texts], {row: {row} for row in range(len(texts))}
    for a, b in itertools.combinations(range(len(texts)), 2):
        if jaccard(sets[a], sets[b]) >= THRESHOLD and group[a] is not group[b]:
            group[a] |= group[b]
            for member in group[b]:
                group[member] = group[a]
    return {frozenset(g) for g in group.values() if len(g) > 1}


def slow_survivors(texts: list[str], groups: set[frozenset[int]], rank: list[int]) -> dict[int, int]:
    """Row to survivor: the best stays and removes what resembles it, then the best of the others, and so on."""
    found = {row: row for row in range(len(texts))}
    for group in groups:
        left = sorted(group, key=lambda row: rank[row])
        while left:
            best, *others = left
            alike = {r for r in others if jaccard(shingles(texts[best]), shingles(texts[r])) >= THRESHOLD}
            found.update(dict.fromkeys(alike, best))
            left = [r for r in others if r not in alike]
    return found


def test_with_a_bucket_for_every_slot_the_clusters_are_the_exact_ones(planted) -> None:
    found = near_duplicates(planted.texts, bands=128)
    assert partition(found) == slow_partition(planted.texts)
    assert found.facts["clusters"] == len(partition(found))
    assert found.facts["largest"] == max(map(len, partition(found)))


def test_the_default_bands_find_every_close_pair_and_join_nothing_else(planted) -> None:
    found = near_duplicates(planted.texts)
    exact = slow_partition(planted.texts)
    for group in partition(found):
        assert any(group <= whole for whole in exact)
    sets = [shingles(t) for t in planted.texts]
    close = [(a, b) for a, b in planted.pairs if jaccard(sets[a], sets[b]) >= 0.9]
    assert len(close) > 50
    assert all(found.root[a] == found.root[b] for a, b in close)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("chunk", [3, 64, 5000])
def test_order_and_chunk_do_not_matter(planted, seed: int, chunk: int) -> None:
    rng, rows = random.Random(seed), list(range(len(planted.texts)))
    rng.shuffle(rows)
    quality = [row % 3 for row in rows]
    mixed = near_duplicates([planted.texts[r] for r in rows], chunk=chunk)
    plain = near_duplicates(planted.texts)
    assert partition(mixed, rows) == partition(plain)
    ids = [f"{row:04d}" for row in rows]
    kept = survivors(mixed, ids, quality=quality).keep
    expected = survivors(plain, sorted(ids), quality=[row % 3 for row in range(len(rows))]).keep
    assert {int(i) for i, k in zip(ids, kept, strict=True) if k} == set(np.flatnonzero(expected).tolist())


def test_every_form_of_column_gives_the_same_clusters(planted) -> None:
    wanted = near_duplicates(planted.texts).root.tolist()
    halves = pa.chunked_array([planted.texts[:150], planted.texts[150:]])
    assert near_duplicates(pa.array(planted.texts)).root.tolist() == wanted
    assert near_duplicates(halves).root.tolist() == wanted


def test_documents_shorter_than_a_shingle_keep_no_company() -> None:
    texts = ["", "", None, "...", "...", "yes", "yes", "thank you", "thank you", "one two three", "One two, three!"]
    found = near_duplicates(pa.array(texts))
    assert partition(found) == {frozenset({9, 10})}
    assert found.facts["too_short"] == 9
    assert survivors(found, [str(i) for i in range(11)]).keep.sum() == 10


def test_nothing_at_all_and_nothing_alike() -> None:
    assert near_duplicates([]).root.size == 0
    assert survivors(near_duplicates([]), []).clusters.num_rows == 0
    texts = [" ".join(words(50, seed)) for seed in range(200)]
    found = near_duplicates(texts)
    assert found.root.tolist() == list(range(200))
    decided = survivors(found, [str(i) for i in range(200)])
    assert decided.keep.all()
    assert decided.clusters.schema == CLUSTER_SCHEMA
    assert decided.clusters.num_rows == 0
    assert partition(near_duplicates(["", "a"])) == set()


def test_nothing_but_copies_leaves_one() -> None:
    found = near_duplicates(["the very same words again and again"] * 2500, bucket_cap=1000)
    assert found.facts["largest"] == 2500
    assert found.facts["repeats"] == 2499
    decided = survivors(found, [f"{i:04d}" for i in reversed(range(2500))])
    assert np.flatnonzero(decided.keep).tolist() == [2499]
    assert set(decided.clusters["jaccard"].to_pylist()) == {1.0}


def test_a_repeated_shingle_counts_once() -> None:
    body = words(30, 1)
    found = near_duplicates([" ".join(body), " ".join(body * 3)])
    decided = survivors(found, ["a", "b"])
    want = jaccard(shingles(" ".join(body)), shingles(" ".join(body * 3)))
    assert decided.clusters["jaccard"].to_pylist() == [1.0, want]


def chain(num: int, step: int, length: int = 100) -> list[str]:
    """Windows over one text: neighbours resemble each other, the ends share nothing."""
    prose = words(length + num * step, 7)
    return [" ".join(prose[i * step : i * step + length]) for i in range(num)]


def test_a_chain_is_one_cluster_but_nobody_is_removed_for_a_stranger() -> None:
    texts = chain(240, step=4)
    rank = list(range(240))
    random.Random(5).shuffle(rank)
    found = near_duplicates(texts, bands=64)
    assert partition(found) == {frozenset(range(240))}
    decided = survivors(found, [f"{r:04d}" for r in rank])
    expected = slow_survivors(texts, partition(found), rank)
    table = decided.clusters.to_pydict()
    assert dict(zip(table["row"], table["survivor"], strict=True)) == expected
    assert np.flatnonzero(decided.keep).tolist() == sorted(set(expected.values()))
    assert 40 < decided.keep.sum() < 200
    for row, stays, value in zip(table["row"], table["survivor"], table["jaccard"], strict=True):
        assert value == jaccard(shingles(texts[row]), shingles(texts[stays])) >= THRESHOLD


def test_who_is_a_hub_follows_from_what_documents_say_and_not_from_where_they_stand() -> None:
    texts, found = chain(60, step=12), []
    for seed in range(6):
        rows = list(range(60))
        random.Random(seed).shuffle(rows)
        found.append(partition(near_duplicates([texts[r] for r in rows], num_perm=16, bands=4), rows))
    assert 1 < len(found[0]) < 30  # hubs decide: some neighbours of the chain meet, others do not
    assert all(other == found[0] for other in found)


def test_survivors_are_those_of_the_slow_version(planted) -> None:
    found = near_duplicates(planted.texts)
    rank = list(range(400))
    random.Random(8).shuffle(rank)
    table = survivors(found, [f"{r:04d}" for r in rank]).clusters.to_pydict()
    expected = slow_survivors(planted.texts, partition(found), rank)
    assert dict(zip(table["row"], table["survivor"], strict=True)) == {r: expected[r] for r in table["row"]}
    assert table["root"] == [found.root[r] for r in table["row"]]


@pytest.mark.parametrize(
    ("keys", "stays"),
    [
        ({"quality": [0.1, 0.9, 0.5], "licence_rank": [9, 0, 0]}, 1),
        ({"quality": [0.5, 0.5, 0.1], "licence_rank": [1, 2, 9]}, 1),
        ({"licence_rank": [2, 2, 2], "source_priority": [1, 0, 5]}, 2),
        ({"quality": [1, 1, 1], "licence_rank": [2, 2, 2], "source_priority": [3, 3, 3]}, 0),
        ({}, 0),
    ],
)
def test_the_policy_decides_in_its_order(keys: dict[str, list[float]], stays: int) -> None:
    body = words(80, 2)
    texts = [" ".join([*body, "end"]), " ".join(body), " ".join(["start", *body])]
    kept = survivors(near_duplicates(texts), ["a", "b", "c"], **keys).keep
    assert np.flatnonzero(kept).tolist() == [stays]


def _star(texts: list[str]) -> tuple[Buckets, Clusters]:
    """All texts in one bucket, the first as its hub, and a verifier that knows them (from a run with fine bands)."""
    found = near_duplicates(texts, num_perm=128, bands=128)
    num = len(texts)
    return Buckets(np.arange(num), np.zeros(num, np.int64)), found


def test_a_bad_hub_does_not_hide_two_duplicates_of_each_other() -> None:
    shared, own = words(60, 1), words(60, 2)
    hub = " ".join([*shared, *words(60, 3)])
    pair = " ".join([*shared, *own])
    bucket, found = _star([hub, pair, f"{pair} more"])
    edges = verified_edges([bucket], 3, partial(found.judge.edges, order=np.arange(3)))
    assert edges.pairs.T.tolist() == [[1, 2]]
    assert edges.verified == 3


def test_new_hubs_are_tried_three_times_at_most() -> None:
    bodies = [" ".join([*words(60, 1), *words(60, seed)]) for seed in range(2, 8)]
    texts = [t for body in bodies for t in (body, f"{body} more")]
    bucket, found = _star(texts)
    edges = verified_edges([bucket], 12, partial(found.judge.edges, order=np.arange(12)))
    assert edges.pairs.T.tolist() == [[2 * i, 2 * i + 1] for i in range(1 + REHUB_ROUNDS)]


def test_boilerplate_above_the_cap_is_cut_and_its_duplicates_still_found() -> None:
    header = words(70, 1)
    bodies = [" ".join([*header, *words(50, seed)]) for seed in range(2, 102)]
    copies = [f"{body} copied" for body in bodies[:20]]
    texts = bodies + copies
    found = near_duplicates(texts, num_perm=64, bands=32, bucket_cap=10)
    assert found.facts["capped_buckets"] > 0
    assert partition(found) == {frozenset({i, 100 + i}) for i in range(20)}
    assert near_duplicates(texts, num_perm=64, bands=32).facts["capped_buckets"] == 0


def test_buckets_are_those_of_a_dictionary() -> None:
    keys = np.random.default_rng(0).integers(0, 40, (4, 100)).astype(np.uint64) << np.uint64(50)
    cut, above = bucketed(keys, cap=100)
    assert above == 0
    for band, found in enumerate(cut):
        obvious = defaultdict(list)
        for rank, key in enumerate(keys[band].tolist()):
            obvious[key].append(rank)
        groups = defaultdict(list)
        for rank, first in zip(found.rank.tolist(), found.first.tolist(), strict=True):
            groups[first].append(rank)
        assert sorted(groups.values()) == sorted(g for g in obvious.values() if len(g) > 1)


def test_a_bucket_above_the_cap_is_cut_by_further_bands_until_its_members_agree_everywhere() -> None:
    keys = np.ones((3, 12), np.uint64) << np.uint64(60)
    keys[1, 6:] = np.uint64(7) << np.uint64(50)  # two halves in the second band, nothing tells inside them
    cut, above = bucketed(keys, cap=4)
    assert above == 4  # one in the first and the third band, two in the second
    assert sorted(set(cut[0].first.tolist())) == [0, 6]
    assert sorted(set(cut[2].first.tolist())) == [0, 6]


def test_datasketch_agrees(planted) -> None:
    from datasketch import MinHash, MinHashLSH

    sets = [shingles(t) for t in planted.texts]
    index, found = MinHashLSH(num_perm=128, params=(16, 8)), near_duplicates(planted.texts)
    sketches = MinHash.bulk([[s.encode() for s in group] for group in sets], num_perm=128)
    theirs = []
    for row, sketch in enumerate(sketches):
        theirs += [(other, row) for other in index.query(sketch)]
        index.insert(row, sketch)
    close = [(a, b) for a, b in theirs if jaccard(sets[a], sets[b]) >= 0.85]
    assert len(close) > 50
    assert all(found.root[a] == found.root[b] for a, b in close)
    left, right = np.array(theirs).T
    ours = found.judge.verifier.estimate(
        *(x[np.isin(left, _known(found)) & np.isin(right, _known(found))] for x in (left, right))
    )
    other = [sketches[a].jaccard(sketches[b]) for a, b in theirs if {a, b} <= set(_known(found).tolist())]
    assert np.abs(ours - np.array(other)).max() < 0.25


def _known(found: Clusters) -> np.ndarray:
    return np.flatnonzero(found.judge.verifier.place >= 0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"bands": 10}, "bands=10 does not divide num_perm=128"),
        ({"ngram": 0}, "ngram=0"),
        ({"threshold": 1.2}, "threshold=1.2"),
        ({"threshold": 0}, "threshold=0"),
        ({"chunk": 0}, "chunk=0"),
        ({"bucket_cap": 1}, "bucket_cap=1"),
    ],
)
def test_numbers_out_of_range_are_named(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        near_duplicates(["a b c"], **wrong)


def test_policy_keys_must_fit_the_documents() -> None:
    found = near_duplicates(["a b c", "a b c"])
    with pytest.raises(ValueError, match="ids has 1 values for 2 documents"):
        survivors(found, ["x"])
    with pytest.raises(ValueError, match="quality"):
        survivors(found, ["x", "y"], quality=[1.0])
    with pytest.raises(ValueError, match="quality holds"):
        survivors(found, ["x", "y"], quality=[1.0, float("nan")])
