"""Documents in blocks that are read again when needed: the same clusters, facts and survivors as all at once."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_ray.bench.texts import plant
from pe_ray.corpus.neardup import Clusters, near_duplicates, near_duplicates_of, survivors
from pe_ray.corpus.neardup.bands import Buckets
from pe_ray.errors import SourceError

FINE = {"num_perm": 32, "bands": 16, "bucket_cap": 8}
"""Few permutations in many bands: large buckets, bad hubs, new hubs, buckets above the cap, and much in doubt."""


@cache
def corpus() -> list[str]:
    """Planted copies, a chain, boilerplate in front of different bodies, repeats, and texts under a shingle."""
    rng = random.Random(5)
    prose = [f"w{rng.randrange(10**6)}" for _ in range(600)]
    chain = [" ".join(prose[i * 6 : i * 6 + 80]) for i in range(40)]
    header = prose[500:550]
    bodies = [" ".join([*header, *(f"b{i}x{j}" for j in range(25))]) for i in range(30)]
    copies = [f"{body} copied" for body in bodies[:10]]
    return plant(150, seed=9).texts + chain + bodies + copies + chain[:5] + ["", "yes", "thank you", "..."]


def itself(block: Any) -> Any:
    return block


def column_of(file: Path) -> pa.ChunkedArray:
    return pq.read_table(file, columns=["text"])["text"]


def far_away(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """What another process would get and give back."""
    for item in items:
        called, argument = pickle.loads(pickle.dumps((function, item)))
        yield pickle.loads(pickle.dumps(called(argument)))


def named(clusters: Clusters, names: Sequence[int]) -> dict[int, int]:
    """Name of each document to the smallest name in its cluster."""
    least: dict[int, int] = {}
    for name, root in zip(names, clusters.root.tolist(), strict=True):
        least[root] = min(least.get(root, name), name)
    return {name: least[root] for name, root in zip(names, clusters.root.tolist(), strict=True)}


def removed(clusters: Clusters, names: Sequence[int]) -> dict[int, tuple[int, float]]:
    table = survivors(clusters, [f"{n:04d}" for n in names], quality=[n % 3 for n in names]).clusters.to_pydict()
    return {
        names[row]: (names[stays], jaccard)
        for row, stays, jaccard in zip(table["row"], table["survivor"], table["jaccard"], strict=True)
    }


@cache
def at_once() -> tuple[dict[int, int], dict[str, int], dict[int, tuple[int, float]]]:
    found, names = near_duplicates(corpus(), **FINE), range(len(corpus()))
    return named(found, names), found.facts, removed(found, names)


def test_the_corpus_of_these_tests_has_what_makes_it_hard() -> None:
    _, facts, survivor_of = at_once()
    assert min(facts["capped_buckets"], facts["repeats"], facts["too_short"]) > 0
    assert facts["verified"] > 2 * facts["edges"]
    assert 20 < sum(name != stays for name, (stays, _) in survivor_of.items()) < len(survivor_of)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0), partitions=st.sampled_from([1, 4, 16]), num_blocks=st.integers(1, 12), stored=st.booleans())
def test_cut_order_and_partitions_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, seed: int, partitions: int, num_blocks: int, stored: bool
) -> None:
    rng = random.Random(seed)
    names = list(range(len(corpus())))
    rng.shuffle(names)
    cuts = sorted(rng.choices(range(len(names) + 1), k=num_blocks - 1))  # equal cuts make empty blocks
    blocks = [
        pa.array([corpus()[n] for n in names[i:j]], pa.string())
        for i, j in zip([0, *cuts], [*cuts, len(names)], strict=True)
    ]
    scratch = tmp_path_factory.mktemp("scratch") if stored else None
    found = near_duplicates_of(
        blocks, itself, **FINE, spread=far_away, partitions=partitions, chunk=rng.choice([7, 5000]), scratch=scratch
    )
    assert (named(found, names), found.facts, removed(found, names)) == at_once()


@pytest.mark.parametrize("partitions", [1, 4, 16])
def test_files_give_the_default_clusters_of_one_column(tmp_path: Path, partitions: int) -> None:
    texts, files = corpus(), []
    for number, start in enumerate(range(0, len(texts), 50)):
        files.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.table({"text": texts[start : start + 50]}), files[-1])
    found, wanted = near_duplicates_of(files, column_of, partitions=partitions), near_duplicates(texts)
    assert found.root.tolist() == wanted.root.tolist()
    assert found.facts == wanted.facts
    ids = [str(i) for i in range(len(texts))]
    assert survivors(found, ids).clusters == survivors(wanted, ids).clusters


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("blocks", [[], [[]], [[], []], [["", "a"], []], [["a b c"], ["d e f"]]])
def test_nothing_and_nothing_alike(blocks: list[list[str]], partitions: int, tmp_path: Path) -> None:
    arrays = [pa.array(b, pa.string()) for b in blocks]
    found = near_duplicates_of(arrays, itself, partitions=partitions, scratch=tmp_path)
    num = sum(map(len, blocks))
    assert found.root.tolist() == list(range(num))
    assert survivors(found, [str(i) for i in range(num)]).keep.all()


@pytest.mark.parametrize("partitions", [1, 4])
def test_nothing_but_copies_in_many_blocks(partitions: int) -> None:
    blocks = [pa.array(["the very same words again and again"] * 300)] * 5
    found = near_duplicates_of(blocks, itself, partitions=partitions)
    assert found.facts["repeats"] == 1499
    assert survivors(found, [f"{i:04d}" for i in range(1500)]).keep.sum() == 1


def test_many_tasks_hold_no_shingles_in_this_process_and_the_store_is_read_instead_of_the_blocks(
    tmp_path: Path,
) -> None:
    read: list[int] = []

    def counted(block: int) -> pa.Array:
        read.append(block)
        return pa.array(corpus()[block * 50 : block * 50 + 50])

    blocks = range(-(-len(corpus()) // 50))
    found = near_duplicates_of(blocks, counted, **FINE, partitions=4, scratch=tmp_path)
    removed(found, range(len(corpus())))
    assert sorted(read) == sorted([*blocks, *blocks])
    assert len(list(tmp_path.iterdir())) == len(blocks)
    assert not hasattr(found.judge, "verifier")


def test_a_block_that_changes_during_the_run_is_told() -> None:
    left = [pa.array(["one two three four"] * 2), pa.array(["one two three four"])]
    with pytest.raises(SourceError, match="a block of 2 documents holds 1 when it is read again"):
        near_duplicates_of(["file"], lambda _: left.pop(0))


def test_partitions_must_be_one_or_more() -> None:
    with pytest.raises(ValueError, match="partitions=0"):
        near_duplicates_of([], itself, partitions=0)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
def test_buckets_are_shared_out_whole_and_about_evenly(parts: int) -> None:
    sizes = np.random.default_rng(1).integers(2, 9, 60)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    cuts = Buckets(np.arange(sizes.sum()), first).slices(parts)
    assert [i for cut in cuts for i in range(cut.start, cut.stop)] == list(range(sizes.sum()))
    assert all(first[cut.start] == cut.start for cut in cuts)
    assert 0.8 * min(parts, 60) <= len(cuts) <= parts
    assert max(cut.stop - cut.start for cut in cuts) <= sizes.sum() / parts + 8


def test_who_is_out_already_neither_stays_nor_removes() -> None:
    body = " ".join(f"w{i}" for i in range(60))
    found = near_duplicates([body, f"{body} end", f"{body} ending", "quite another text"])
    plain = survivors(found, ["a", "b", "c", "d"])
    assert plain.keep.tolist() == [True, False, False, True]
    less = survivors(found, ["a", "b", "c", "d"], gone=[True, False, False, False])
    assert less.keep.tolist() == [False, True, False, True]
    assert less.clusters["row"].to_pylist() == [1, 2]
    alone = survivors(found, ["a", "b", "c", "d"], gone=[True, False, True, True])
    assert alone.keep.tolist() == [False, True, False, False]
    assert alone.clusters.num_rows == 0
