from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_ray.config import Config
from pe_ray.corpus import duplicates, shards
from pe_ray.corpus.decide import KEY_COLUMNS
from pe_ray.corpus.duplicates import CLUSTERS_SCHEMA, Duplicates, check, clusters, exact, none, texts_of
from pe_ray.corpus.pipeline import Here
from pe_ray.errors import ManifestError, UserError
from pe_ray.store.paths import Home
from tests.corpus.write import THINGS, edge_case, jsonl, nearly, one_source, qa, scenes

ROW = [qa(s) for s in scenes(12)]
STOCK = " I'm sorry to hear that, hang in there."
"""Makes an answer to the first scene less specific, and so of lower quality."""


class Found:
    """The duplicates of a run's records, by the line that each stands on."""

    def __init__(self, run: Config, home: Home, spread: duplicates.Spread = map) -> None:
        self.folders = shards.ensure(run.corpus, home, Here().fill)
        self.keys = shards.read_keys(self.folders, KEY_COLUMNS)
        self.found = duplicates.find(self.keys, self.folders, run.corpus, home, spread)
        self.line = dict(enumerate(self.keys["offset"].to_pylist()))
        self.clusters = clusters(self.keys["id"], self.found)

    @property
    def kinds(self) -> dict[int, str]:
        """Line to why the record goes."""
        return {self.line[i]: duplicates.KINDS[k] for i, k in enumerate(self.found.kind) if k}

    @property
    def stays(self) -> dict[int, int]:
        """Line to the line that stays in its place, of those that go."""
        return {self.line[i]: self.line[int(j)] for i, j in enumerate(self.found.stands_for) if i != j}

    def roots(self) -> dict[int, list[int]]:
        """The clusters with company, as lines."""
        groups: dict[int, list[int]] = {}
        for row, root in enumerate(self.found.root.tolist()):
            groups.setdefault(root, []).append(self.line[row])
        return {self.line[r]: sorted(g) for r, g in groups.items() if len(g) > 1}


Finder = Callable[..., Found]


@pytest.fixture
def find(tmp_path: Path, home: Home) -> Finder:
    def over(rows: list[Any], spread: duplicates.Spread = map, part_mib: float = 4.0, **told: Any) -> Found:
        path = jsonl(tmp_path / "a.jsonl", rows)
        return Found(one_source(path, duplicates=told, part_mib=part_mib), home, spread)

    return over


def equal(one: Duplicates, two: Duplicates) -> bool:
    arrays = all(np.array_equal(getattr(one, n), getattr(two, n)) for n in ("stands_for", "kind", "likeness", "root"))
    return arrays and one.outside == two.outside


# --- which go, and which stay -----------------------------------------------------------------------------------------


def test_a_near_duplicate_goes_and_its_survivor_and_likeness_are_named(find: Finder) -> None:
    found = find([ROW[0], ROW[1], {**ROW[0], "answer": nearly(ROW[0]["answer"])}])
    ((gone, stays),) = found.stays.items()
    assert {gone, stays} == {1, 3}
    assert found.kinds == {gone: "near"}
    assert found.clusters.schema == CLUSTERS_SCHEMA
    survivor, other = sorted(found.clusters.to_pylist(), key=lambda r: r["kind"] != "survivor")
    assert (survivor["kind"], survivor["likeness"], other["kind"]) == ("survivor", 1.0, "near")
    assert survivor["survivor"] == other["survivor"] == survivor["record_id"]
    assert survivor["cluster"] == other["cluster"]
    assert 0.7 <= other["likeness"] < 1


def test_the_better_one_stays_whatever_its_place(find: Finder) -> None:
    worse = {**ROW[0], "answer": ROW[0]["answer"] + STOCK}
    assert find([worse, ROW[0]]).stays == {1: 2}
    assert find([ROW[0], worse]).stays == {2: 1}


def test_the_licence_decides_where_quality_does_not(tmp_path: Path, home: Home) -> None:
    """Both lines are equal; the second spec's licence comes earlier in the order."""
    specs = [
        {"kind": "standard", "path": str(jsonl(tmp_path / name / "a.jsonl", [ROW[0]])), "licence": licence}
        for name, licence in (("one", "all rights reserved"), ("two", "MIT"))
    ]
    for sources in (specs, specs[::-1]):
        found = Found(one_source(tmp_path, sources=sources), home)
        assert found.kinds == {1: "exact"}
        gone = int(np.flatnonzero(found.found.kind)[0])
        assert found.keys["licence"][gone].as_py() == "all rights reserved"


def test_a_record_that_is_out_already_removes_nobody(find: Finder) -> None:
    """An evaluation set holds the better one's words: it must not take the other with it."""
    found = find([{**ROW[0], "answer": ROW[0]["answer"] + STOCK}, ROW[0]])
    at = found.keys.schema.get_field_index("contaminated")
    marks = pa.array([None, "bench: item 1"], pa.string())
    keys = found.keys.set_column(at, "contaminated", marks)
    rank = duplicates.ranking(keys, one_source(Path()).corpus, duplicates.usable(keys))
    assert rank.tolist() == [0, 1]
    assert not duplicates.usable(keys)[1]


def test_an_exact_duplicate_of_a_near_duplicate_is_told_as_near(find: Finder) -> None:
    """Lines 1 and 2 are equal and lose to 3: nothing may say that 2 is the same text as 3."""
    worse = {**ROW[0], "answer": ROW[0]["answer"] + STOCK}
    found = find([worse, worse, ROW[0]])
    assert found.stays == {1: 3, 2: 3}
    assert found.kinds == {1: "near", 2: "near"}
    likeness = found.found.likeness.tolist()
    assert likeness[0] == likeness[1] < 1
    assert set(found.clusters["kind"].to_pylist()) == {"survivor", "near"}


def test_near_off_leaves_exact_ones(find: Finder) -> None:
    found = find([ROW[0], ROW[0], {**ROW[0], "answer": nearly(ROW[0]["answer"])}], near=False)
    assert list(found.kinds.values()) == ["exact"]
    assert found.roots() == {}
    assert found.clusters.num_rows == 2
    assert len(set(found.clusters["cluster"].to_pylist())) == 1


def test_the_threshold_is_in_effect(find: Finder) -> None:
    rows = [ROW[0], {**ROW[0], "answer": ROW[0]["answer"] + STOCK}]
    assert find(rows, threshold=0.7).kinds
    assert not find(rows, threshold=0.97).kinds


def chain() -> list[dict[str, Any]]:
    """Three texts, each like its neighbour alone: the ends share too few words."""
    words = [f"{thing}{n}" for n in range(9) for thing in THINGS]
    parts = [" ".join(words[n : n + 72]) for n in (0, 8, 16)]
    return [{"question": "What did you write down?", "answer": part, "topics": []} for part in parts]


def test_a_chain_is_one_cluster_whose_ends_stay_and_stand_for_themselves(find: Finder) -> None:
    """What is kept beside its cluster must not be taken for another: holding and merging go by `stands_for`."""
    found = find([*chain(), ROW[1]])
    assert found.roots() == {1: [1, 2, 3]}
    assert found.kinds == {2: "near"}
    assert found.stays in ({2: 1}, {2: 3})
    assert found.clusters["kind"].to_pylist().count("survivor") == 2
    assert found.clusters["cluster"].unique().to_pylist() == [found.keys["id"][0].as_py()]


def test_nothing_in_common_is_written_to_by_nobody_else() -> None:
    own = none(3)
    own.root[2] = 0
    assert own.stands_for.tolist() == [0, 1, 2]


def test_no_records_have_no_duplicates(tmp_path: Path, home: Home) -> None:
    found = Found(one_source(jsonl(tmp_path / "a.jsonl", ["{"])), home)
    assert len(found.found.root) == 0
    assert found.clusters.schema == CLUSTERS_SCHEMA
    assert len(exact(found.keys, np.empty(0, np.int64)).kind) == 0


# --- the same for any way of working ----------------------------------------------------------------------------------


def planted() -> list[dict[str, Any]]:
    rows = [*ROW, ROW[3], {**ROW[5], "answer": nearly(ROW[5]["answer"])}]
    return [*rows, {**ROW[7], "answer": nearly(ROW[7]["answer"])}, {**ROW[7], "answer": ROW[7]["answer"] + " Or not?"}]


def test_parts_order_and_partitions_do_not_matter(find: Finder, home: Home) -> None:
    def forget() -> None:
        shutil.rmtree(home.corpus("therapy", "duplicates"))

    def backwards(call: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        done = {n: call(items[n]) for n in reversed(range(len(items)))}
        return [done[n] for n in range(len(items))]

    one = find(planted())
    assert sorted(one.kinds.values()) == ["exact", "near", "near", "near"]
    assert sorted(map(len, one.roots().values())) == [2, 2, 3]
    for told in ({"partitions": 4}, {"partitions": 16}, {"part_mib": 0.001}, {"part_mib": 0.001, "partitions": 4}):
        forget()
        other = find(planted(), backwards, **told)
        assert equal(one.found, other.found), told
        assert one.clusters.equals(other.clusters)


def test_what_was_found_is_found_again(find: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    one = find(planted())
    monkeypatch.setattr(duplicates, "near_duplicates_of", None)
    again = find(planted(), partitions=16)
    assert equal(one.found, again.found)
    assert again.found.facts == one.found.facts
    with pytest.raises(TypeError):
        find(planted(), threshold=0.8)


def test_damaged_findings_are_made_again(find: Finder, home: Home) -> None:
    one = find(planted())
    (file,) = home.corpus("therapy", "duplicates").glob("*/found.parquet")
    file.write_bytes(b"")
    assert equal(find(planted()).found, one.found)


def test_texts_of_a_shard_are_all_turns_in_order(find: Finder) -> None:
    found = find([ROW[0], ROW[1]])
    assert texts_of(found.folders[0]).to_pylist() == [f"{r['question']}\n{r['answer']}" for r in ROW[:2]]


# --- an index, and meaning --------------------------------------------------------------------------------------------


def index(folder: Path, rows: list[dict[str, Any]]) -> Path:
    from pe_ray.corpus.neardup import Index

    texts = [f"{row['question']}\n{row['answer']}" for row in rows]
    Index.of(texts, [f"old{n}" for n in range(len(rows))]).save(folder)
    return folder


def test_what_an_index_knows_goes_and_names_the_one_outside(find: Finder, tmp_path: Path) -> None:
    known = index(tmp_path / "index", [ROW[5], ROW[1]])
    found = find([ROW[0], ROW[1], {**ROW[1], "answer": nearly(ROW[1]["answer"])}, ROW[1]], index=str(known))
    assert found.kinds == {2: "indexed", 3: "indexed", 4: "indexed"}
    assert found.stays == {}  # nothing here stands for them
    assert set(found.found.outside.values()) == {"old1"}
    rows = [r for r in found.clusters.to_pylist() if r["kind"] == "indexed"]
    assert [r["survivor"] for r in rows] == ["old1"] * 3
    assert find([ROW[0]], index=str(known)).kinds == {}


def test_another_index_is_another_finding(find: Finder, tmp_path: Path) -> None:
    assert find(ROW[:2], index=str(index(tmp_path / "one", [ROW[0]]))).kinds == {1: "indexed"}
    assert find(ROW[:2], index=str(index(tmp_path / "two", [ROW[1]]))).kinds == {2: "indexed"}
    assert find(ROW[:2]).kinds == {}


def test_an_index_that_cannot_be_used_is_one_line(find: Finder, tmp_path: Path) -> None:
    known = index(tmp_path / "index", [ROW[5]])
    with pytest.raises(UserError, match=r"made with ngram=3, the run has ngram=5; build it again or change the run"):
        find(ROW[:2], index=str(known), ngram=5)
    with pytest.raises(UserError, match=r"corpus\.duplicates\.index=gone: holds no finished index; give the folder"):
        check(one_source(tmp_path, duplicates={"index": "gone"}).corpus)
    (known / "keys.npy").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"keys\.npy: is missing or has another size"):
        check(one_source(tmp_path, duplicates={"index": str(known)}).corpus)


def test_the_same_in_other_words_goes_by_meaning(find: Finder) -> None:
    """The embedder knows words and pairs of them: the same sentences in another order."""
    question, answer = ROW[0]["question"], ROW[0]["answer"]
    turned = " ".join(answer.split("? ")[::-1])
    rows = [ROW[0], {**ROW[0], "answer": turned}, ROW[4]]
    assert question in rows[1]["question"]
    plain = find(rows, threshold=0.99)
    assert plain.kinds == {}
    found = find(rows, threshold=0.99, semantic="hashing", semantic_threshold=0.9)
    assert list(found.kinds.values()) == ["semantic"]
    assert set(found.stays) | set(found.stays.values()) == {1, 2}
    (gone,) = np.flatnonzero(found.found.kind)
    assert 0.9 <= found.found.likeness[gone] < 1


def test_meaning_is_found_without_near_duplicates_too(find: Finder) -> None:
    rows = [ROW[0], {**ROW[0], "answer": nearly(ROW[0]["answer"])}, ROW[0]]
    found = find(rows, near=False, semantic="hashing", semantic_threshold=0.9)
    assert sorted(found.kinds.values()) == ["exact", "semantic"] or sorted(found.kinds.values()) == ["semantic"] * 2
    assert len(set(found.stays.values())) == 1


def test_an_embedder_that_cannot_be_loaded_is_one_line(find: Finder) -> None:
    with pytest.raises(UserError, match=r"embedder 'no_such:thing': module no_such cannot be imported"):
        check(one_source(Path(), duplicates={"semantic": "no_such:thing"}).corpus)


def test_categories_of_duplicates_are_merged_by_the_survivor_alone(tmp_path: Path, home: Home) -> None:
    rows = [edge_case(s) for s in scenes(2)]
    found = Found(one_source(jsonl(tmp_path / "e.jsonl", [*rows, rows[0]]), "edge_case"), home)
    assert list(found.kinds.values()) == ["exact"]
    table = pq.read_table(found.folders[0] / shards.RECORDS)
    assert len(table) == 3  # nothing is dropped from a shard
