"""A whole build: every row accounted for, and the same bytes whatever the order, the cut, the place or the kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pe_ray import corpus
from pe_ray.corpus import pipeline, shards, snapshot
from pe_ray.corpus.pipeline import CorpusResult, build
from pe_ray.corpus.snapshot import Refused
from pe_ray.errors import SourceError, UserError
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus import killed
from tests.corpus.write import DETAILS, config, edge_case, five_sources, jsonl, nearly, one_source, qa, scenes

ROOT = Path(__file__).parents[2]
SAME = ("rejects.parquet", "review.parquet", "quarantine.jsonl", "clusters.parquet", "concepts.jsonl", "README.md")
"""What follows from the inputs alone, beside records/."""
MOVED = ("shard", "position")
"""Columns of decisions.parquet that follow from how the input was cut."""


def stage(result: CorpusResult) -> dict[str, Any]:
    return {k: v for k, v in result.stage.items() if k != "manifest"}


def records(result: CorpusResult) -> list[dict[str, Any]]:
    return pq.read_table(result.path / "records").to_pylist()


def assert_same(one: Path, two: Path) -> None:
    """Two snapshots hold the same bytes."""
    names = [f"records/{p.name}" for p in sorted((one / "records").iterdir())]
    assert names == [f"records/{p.name}" for p in sorted((two / "records").iterdir())]
    for name in (*names, *SAME):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    told = [pq.read_table(p / "decisions.parquet").drop_columns(list(MOVED)) for p in (one, two)]
    assert told[0].equals(told[1])


def planted(data: Path) -> Path:
    """The five sources with everything that can happen to a row."""
    more = list(scenes(4, 380))
    jsonl(data / "edge_case/held.jsonl", [edge_case(s, category="suicidality") for s in more[:2]])
    near = {**qa(more[2]), "answer": nearly(qa(more[2])["answer"])}
    jsonl(data / "standard/more.jsonl", [qa(more[2]), near, qa(more[2]), qa(more[3]), {"question": "?"}])
    return data


# --- the account ------------------------------------------------------------------------------------------------------


def test_a_corpus_is_built_and_every_row_is_accounted_for(data: Path, home: Home) -> None:
    result = build(config(data), home)
    found = result.stage
    assert found["records_in"] == found["kept"] + found["rejected"] + found["held_for_review"] + found["errors"]
    assert found["records_in"] == 14 + 12 + 9 + 6 + 18
    assert found["kept"] == len(records(result)) >= 50
    for source, account in found["per_source"].items():
        assert abs(account["share"] - account["target"]) <= 1 / found["kept"], source
        assert not account["short"]
    assert Path(found["manifest"]).parent == result.path == home.corpus("therapy", result.fingerprint)
    assert manifest.read(result.path, "corpus", verify=True).facts["fingerprint"] == result.fingerprint


def test_what_a_row_can_come_to_is_counted_once(data: Path, home: Home) -> None:
    found = build(config(planted(data), min_processed=0.9), home).stage
    assert found["records_in"] == 59 + 2 + 5
    assert (found["errors"], found["held_for_review"]) == (1, 2)
    assert found["records_in"] == found["kept"] + found["rejected"] + 3


def test_a_licence_in_the_spec_reaches_the_records(data: Path, home: Home) -> None:
    specs = [s.model_dump() | {"licence": "CC0-1.0", "attribution": "A. N."} for s in config(data).corpus.sources]
    kept = records(build(config(data, sources=specs), home))
    assert {(r["licence"], r["attribution"]) for r in kept} == {("CC0-1.0", "A. N.")}


def test_shares_and_the_largest_size_are_in_effect(data: Path, home: Home) -> None:
    result = build(config(data, max_records=40, validation_share=0.3, test_share=0.1), home)
    assert result.stage["kept"] == 40
    sides = Counter(r["split"] for r in records(result))
    assert sides["validation"] == pytest.approx(12, abs=3)
    assert sides["test"] == pytest.approx(4, abs=3)


def test_each_domain_is_in_both_sides(data: Path, home: Home) -> None:
    sides = Counter((r["domain"], r["split"]) for r in records(build(config(data), home)))
    assert {d for d, s in sides if s == "train"} == {d for d, s in sides if s == "validation"}
    assert len({d for d, _ in sides}) == 4


def test_the_name_is_the_folder(data: Path, home: Home) -> None:
    assert build(config(data, name="mine"), home).path.parent == home.root / "corpora" / "mine"


def test_a_shortage_refuses_the_corpus_unless_told_otherwise(data: Path, home: Home) -> None:
    shutil.rmtree(data / "voice")
    five_sources(data, voice=3)
    with pytest.raises(Refused, match="voice has 3 of 8") as refused:
        build(config(data, min_records=40), home)
    assert refused.value.stage["per_source"]["voice"]["short"]
    others = build(config(data, min_records=40, on_shortage="renormalise"), home)
    short = others.stage["per_source"]["voice"]
    assert short == {"in": 3, "kept": 3, "share": 3 / others.stage["kept"], "target": 0.2, "short": True}
    again = build(config(data, min_records=40, on_shortage="repeat"), home)
    assert again.stage["per_source"]["voice"]["share"] == pytest.approx(0.2)
    assert again.stage["per_source"]["voice"]["kept"] == 3
    assert len(records(again)) == 40


# --- what is held -----------------------------------------------------------------------------------------------------

UNSAFE = "My husband hits me and I am afraid to go home to the piano tonight."
WISH = "Since Lisbon I want to kill myself and nobody at the bakery knows."
HELD = {
    "by its category": (edge_case(next(scenes(1, 1)), category="homicidal_client"), ["homicidal ideation"]),
    "by its mark": (edge_case(next(scenes(1, 2)), review="required"), ["marked for review"]),
    "by a class": (edge_case(next(scenes(1, 3)), client=WISH, therapist="Who is near you now?"), ["suicidality"]),
    "by the level": (edge_case(next(scenes(1, 4)), client=UNSAFE, therapist="Who is near?"), ["partner_violence"]),
}


@pytest.mark.parametrize("reason", HELD)
def test_each_reason_alone_holds_a_record(reason: str, tmp_path: Path, home: Home, no_plots: None) -> None:
    """One label is there and the others are null: a null must not outvote it."""
    row, expected = HELD[reason]
    free = list(scenes(6, 100))
    path = jsonl(tmp_path / "a.jsonl", [row, *(edge_case(s) for s in free)])
    result = build(one_source(path, "edge_case", test_share=0, checks={"generic_min": 0, "coherence_min": 0}), home)
    review = pq.read_table(result.path / "review.parquet")
    assert review["offset"].to_pylist() == [1]
    assert review["held_for"].to_pylist() == [expected]
    assert 1 not in [r["offset"] for r in records(result)]
    assert result.stage["held_for_review"] == 1


def test_no_reason_holds_nothing_where_every_label_is_null(tmp_path: Path, home: Home, no_plots: None) -> None:
    result = build(one_source(jsonl(tmp_path / "a.jsonl", [qa(s) for s in scenes(6)])), home)
    assert result.stage["held_for_review"] == 0
    assert result.stage["kept"] == 6


def test_what_stays_of_a_chain_waits_together(tmp_path: Path, home: Home, no_plots: None) -> None:
    """The ends of a chain are in one cluster and both stay: if one is held, the other waits with it."""
    from tests.corpus.test_duplicates import chain

    rows = [edge_case(next(scenes(1)), client=r["question"], therapist=r["answer"]) for r in chain()]
    for held in (0, 2):
        told = [row | ({"category": "suicidality"} if n == held else {}) for n, row in enumerate(rows)]
        path = jsonl(tmp_path / f"{held}/a.jsonl", [*told, *(edge_case(s) for s in scenes(8, 100))])
        checks = {"generic_min": 0, "coherence_min": 0, "naturalness_min": 0}
        result = build(one_source(path, "edge_case", name=f"held{held}", checks=checks), home)
        review = pq.read_table(result.path / "review.parquet").to_pylist()
        assert {r["offset"] for r in review} <= {1, 2, 3} and review
        assert not {1, 2, 3} & {r["offset"] for r in records(result)}


def test_a_held_record_whose_near_duplicate_is_better_takes_that_one_with_it(
    tmp_path: Path, home: Home, no_plots: None
) -> None:
    scene = next(scenes(1))
    row = edge_case(scene, category="child_abuse_reporting")
    better = edge_case(scene, therapist=edge_case(scene)["therapist"] + " The restless piano, the bed, the needle.")
    path = jsonl(tmp_path / "a.jsonl", [row, better, *(edge_case(s) for s in scenes(4, 100))])
    result = build(one_source(path, "edge_case"), home)
    (held,) = pq.read_table(result.path / "review.parquet").to_pylist()
    assert (held["offset"], held["held_for"]) == (2, ["child abuse"])


# --- families ---------------------------------------------------------------------------------------------------------


def test_no_family_is_on_two_sides_of_the_split(tmp_path: Path, home: Home, no_plots: None) -> None:
    """Chains of near-duplicates and second answers to questions, in a corpus that is cut in three."""
    rows = []
    for n in range(12):
        words = [f"{word}{'abcdefghijkl'[n]}{end}" for end in "uvwxyz" for word in DETAILS]
        parts = [" ".join(words[i : i + 140]) for i in (0, 12, 24, 36)]  # each like its neighbours, no other
        rows += [{"question": f"What came on day {n} {i}?", "answer": part} for i, part in enumerate(parts)]
    for one, two in zip(scenes(10, 100), scenes(10, 200), strict=True):
        rows += [qa(one), {**qa(one), "answer": qa(two)["answer"]}]
    path = jsonl(tmp_path / "a.jsonl", rows)
    checks = {"generic_min": 0, "coherence_min": 0}
    result = build(one_source(path, validation_share=0.25, test_share=0.2, checks=checks), home)
    kept = {r["id"]: r for r in records(result)}
    assert {r["split"] for r in kept.values()} == {"train", "validation", "test"}
    families: dict[str, list[str]] = {}
    for row in pq.read_table(result.path / "clusters.parquet").to_pylist():
        if row["record_id"] in kept:
            families.setdefault(row["cluster"], []).append(kept[row["record_id"]]["split"])
    for record in kept.values():
        families.setdefault(record["messages"][0]["text"], []).append(record["split"])
    assert sum(len(f) > 1 for f in families.values()) >= 16  # ends of most chains, two answers to a question
    assert all(len(set(f)) == 1 for f in families.values())


# --- the same whatever the way ----------------------------------------------------------------------------------------


def test_cut_order_place_and_partitions_change_no_byte(data: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"min_processed": 0.9, "duplicates": {"partitions": 1}}
    one = build(config(planted(data), **told), home)
    moved = data.with_name("moved")
    shutil.move(data, moved)
    specs = [s.model_dump() for s in config(moved).corpus.sources][::-1]
    for number, over in enumerate(
        (
            {"sources": specs},
            {"part_mib": 0.002},
            {"part_mib": 0.002, "duplicates": {"partitions": 4}, "sources": specs},
            {"duplicates": {"partitions": 16}},
        )
    ):
        monkeypatch.setattr(shards, "CHUNK_RECORDS", 1000 if number % 2 else 3)
        two = build(config(moved, **(told | over)), Home.at(home.root.with_name(f"other{number}")))
        assert two.fingerprint == one.fingerprint, over
        assert stage(two) == stage(one)
        assert_same(one.path, two.path)


def test_the_fingerprint_follows_text_and_configuration(data: Path, home: Home) -> None:
    fingerprints = {
        build(config(data, **over), home).fingerprint
        for over in (
            {},
            {"validation_share": 0.2},
            {"checks": {"review_level": 3}},
            {"duplicates": {"threshold": 0.8}},
            {"test_share": 0.1},
        )
    }
    jsonl(data / "dual_persona/b.jsonl", ["{}"])
    fingerprints.add(build(config(data, min_processed=0.9), home).fingerprint)
    path = data / "psychology/a.jsonl"
    jsonl(path, path.read_text().replace("rain", "snow").splitlines())
    fingerprints.add(build(config(data, min_processed=0.9), home).fingerprint)
    assert len(fingerprints) == 7


def test_what_changes_nothing_is_in_no_fingerprint(data: Path, home: Home) -> None:
    one = build(config(data), home)
    assert build(config(data, formats=["jsonl"], part_mib=0.01, engine="local"), home) == one


def test_the_same_build_again_finds_its_snapshot(data: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    one = build(config(data), home)
    before = (one.path / manifest.NAME).stat().st_mtime_ns
    monkeypatch.setattr(shards, "annotate_part", None)
    monkeypatch.setattr(snapshot, "write_slice", None)
    two = build(config(data), home)
    assert two == one
    assert (two.path / manifest.NAME).stat().st_mtime_ns == before


def test_a_threshold_decides_anew_without_computing_anew(
    data: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(config(data), home)
    monkeypatch.setattr(shards, "annotate_part", None)
    after = build(config(data, checks={"generic_min": 0.9}, min_records=0), home)
    assert after.stage["kept"] < before.stage["kept"]
    with pytest.raises(TypeError):
        build(config(data, pii={"tier": "off"}), home)


def test_a_damaged_snapshot_is_made_again(data: Path, home: Home) -> None:
    one = build(config(data), home)
    (one.path / "rejects.parquet").write_bytes(b"")
    build(config(data), home)
    assert manifest.read(one.path, "corpus", verify=True).files["rejects.parquet"]["bytes"] > 0


def test_the_engine_setting_chooses_the_engine(data: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(pipeline, "build", lambda *_: called.append("local"))
    corpus.build(config(data), home)
    assert called == ["local"]


# --- what stops a build -----------------------------------------------------------------------------------------------


def test_what_stops_the_run_leaves_nothing_half_written(data: Path, home: Home) -> None:
    shutil.rmtree(data / "dual_persona")
    with pytest.raises(SourceError, match="dual_persona"):
        build(config(data), home)
    assert not list(home.root.rglob("*"))


@pytest.mark.parametrize("told", [{"index": "gone"}, {"semantic": "no_such:thing"}])
def test_what_cannot_be_used_is_told_before_anything_is_read(told: dict[str, Any], data: Path, home: Home) -> None:
    with pytest.raises(UserError):
        build(config(data, duplicates=told), home)
    assert not list(home.root.rglob("*"))


def test_sources_without_a_row_are_refused(tmp_path: Path, home: Home) -> None:
    with pytest.raises(UserError, match="hold no rows at all"):
        build(one_source(jsonl(tmp_path / "a.jsonl", ["", " "])), home)


def test_sources_without_a_readable_row_are_refused_with_a_report(tmp_path: Path, home: Home, no_plots: None) -> None:
    path = jsonl(tmp_path / "a.jsonl", ["[]", "{}"])
    with pytest.raises(Refused, match=r"2 of 2 could not; by source: standard 0\.0000") as refused:
        build(one_source(path), home)
    assert refused.value.report.is_file()


# --- kill -9 ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for each point of `killed.POINTS`, as a killed build left it, and one of a build that ended."""
    folder = tmp_path_factory.mktemp("killed")
    planted_data = folder / "data"
    five_sources(planted_data)
    environ = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    told = [sys.executable, "-m", "tests.corpus.killed", str(planted_data), str(folder / "homes")]
    done = subprocess.run(told, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "homes"


@pytest.mark.parametrize("point", killed.POINTS)
def test_a_killed_build_resumes_to_the_same_bytes(
    point: str, homes: Path, no_plots: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = homes / point / "corpora/therapy/shards"
    finished = {p.name for p in pool.iterdir() if manifest.is_finished(p)}
    made = []
    annotate_part = shards.annotate_part
    monkeypatch.setattr(shards, "annotate_part", lambda work: made.append(work.part.key) or annotate_part(work))
    result = killed.run(homes.parent / "data", homes / point)
    assert finished.isdisjoint(made)  # what was done is not done again
    whole = homes / killed.UNBROKEN / "corpora/therapy" / result.fingerprint
    assert_same(result.path, whole)
    assert (result.path / "decisions.parquet").read_bytes() == (whole / "decisions.parquet").read_bytes()
    for form in killed.OPTIONS["formats"]:
        for file in (whole / "exports" / form).glob(f"*.{form}"):
            assert (result.path / "exports" / form / file.name).read_bytes() == file.read_bytes(), file.name
    assert sorted(p.name for p in (result.path / "exports").iterdir()) == ["csv", "jsonl"]
    manifest.read(result.path, "corpus", verify=True)


def test_half_written_snapshots_are_swept_when_they_are_old(data: Path, home: Home) -> None:
    build(config(data), home)
    left = home.root / "corpora/therapy/.0123456789abcdef.01234567"
    (left / "records").mkdir(parents=True)
    os.utime(left, (time.time() - 7200,) * 2)
    build(config(data, validation_share=0.2), home)
    assert not left.exists()
