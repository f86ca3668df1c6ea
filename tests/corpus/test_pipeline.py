from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pe_ray import corpus
from pe_ray.config import Config
from pe_ray.corpus import annotated, pipeline, plots
from pe_ray.corpus.pipeline import CorpusResult, build
from pe_ray.corpus.snapshot import Refused
from pe_ray.errors import SourceError, UserError
from pe_ray.record import RECORD_SCHEMA, REJECT_SCHEMA, from_table
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.write import config, edge_case, five_sources, jsonl, qa, scenes


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plots take longer than all else on so few records; test_report.py draws them."""
    monkeypatch.setattr(plots, "image", lambda *_: "data:,")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    five_sources(tmp_path / "data")
    return tmp_path / "data"


def stage(result: CorpusResult) -> dict:
    return {k: v for k, v in result.stage.items() if k != "manifest"}


def records(result: CorpusResult) -> list[dict]:
    return pq.read_table(result.path / "records").to_pylist()


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


def test_the_files_have_the_promised_shapes(data: Path, home: Home) -> None:
    jsonl(data / "edge_case/held.jsonl", [edge_case(s, category="suicidality") for s in scenes(2, 390)])
    result = build(config(data), home)
    kept = pq.read_table(result.path / "records")
    assert kept.schema.names == [*RECORD_SCHEMA.names, "split"]
    assert set(kept["split"].to_pylist()) == {"train", "validation"}
    assert len(list(from_table(kept))) == len(kept)
    assert all(v["passed"] for row in kept["verdicts"].to_pylist() for v in row)
    review = pq.read_table(result.path / "review.parquet")
    assert review["held_for"].to_pylist() == [["suicidality"]] * 2
    assert [v["passed"] for row in review["verdicts"].to_pylist() for v in row if v["check"] == "crisis"] == [False] * 2
    rejects = pq.read_table(result.path / "rejects.parquet")
    assert rejects.schema.names == REJECT_SCHEMA.names
    assert len(rejects) == result.stage["rejected"]
    compression = pq.ParquetFile(next((result.path / "records").iterdir())).metadata.row_group(0).column(0).compression
    assert compression == "ZSTD"


def test_each_domain_is_in_both_sides(data: Path, home: Home) -> None:
    sides = Counter((r["domain"], r["split"]) for r in records(build(config(data), home)))
    assert len(sides) == 8


def test_the_fingerprint_does_not_depend_on_where_the_files_lie_or_their_order(data: Path, home: Home) -> None:
    one = build(config(data), home)
    moved = data.with_name("moved")
    shutil.move(data, moved)
    specs = [s.model_dump() for s in config(moved).corpus.sources][::-1]
    two = build(config(moved, sources=specs), Home.at(home.root.with_name("other")))
    assert two.fingerprint == one.fingerprint
    assert stage(two) == stage(one)


def test_the_fingerprint_follows_text_and_configuration(data: Path, home: Home) -> None:
    first = build(config(data), home)
    fingerprints = {
        first.fingerprint,
        build(config(data, validation_share=0.2), home).fingerprint,
        build(config(data, checks={"review_level": 3}), home).fingerprint,
    }
    jsonl(data / "dual_persona/b.jsonl", ["{}"])
    fingerprints.add(build(config(data, min_processed=0.9), home).fingerprint)
    jsonl(
        data / "psychology/a.jsonl", [*(data / "psychology/a.jsonl").read_text().replace("rain", "snow").splitlines()]
    )
    fingerprints.add(build(config(data, min_processed=0.9), home).fingerprint)
    assert len(fingerprints) == 5


def test_the_same_build_again_finds_its_snapshot(data: Path, home: Home) -> None:
    one = build(config(data), home)
    before = (one.path / manifest.NAME).stat().st_mtime_ns
    two = build(config(data), home)
    assert two == one
    assert (two.path / manifest.NAME).stat().st_mtime_ns == before


def test_a_damaged_snapshot_is_made_again(data: Path, home: Home) -> None:
    one = build(config(data), home)
    (one.path / "rejects.parquet").write_bytes(b"")
    build(config(data), home)
    assert manifest.read(one.path, "corpus", verify=True).files["rejects.parquet"]["bytes"] > 0


def test_a_threshold_decides_anew_without_computing_anew(
    data: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(config(data), home)
    monkeypatch.setattr(annotated, "read_part", None)
    after = build(config(data, checks={"generic_min": 0.9}, min_records=0), home)
    assert after.stage["kept"] < before.stage["kept"]
    with pytest.raises(TypeError):
        build(config(data, sources=[{"kind": "voice", "path": str(data / "voice")}], targets={"voice": 1.0}), home)


def test_a_licence_in_the_spec_reaches_the_records(data: Path, home: Home) -> None:
    specs = [s.model_dump() | {"licence": "CC0-1.0", "attribution": "A. N."} for s in config(data).corpus.sources]
    kept = records(build(config(data, sources=specs), home))
    assert {(r["licence"], r["attribution"]) for r in kept} == {("CC0-1.0", "A. N.")}


def test_too_many_unreadable_rows_refuse_the_corpus_but_leave_its_report(data: Path, home: Home) -> None:
    path = data / "standard/qa.jsonl"
    jsonl(path, [*path.read_text().splitlines(), "{not json"])
    with pytest.raises(Refused, match=r"corpus\.min_processed=0\.99: only 0\.98.* \(1 of 60 could not\)") as refused:
        build(config(data), home)
    error = refused.value
    assert error.exit_code == 3
    assert error.stage["errors"] == 1
    assert error.report.is_file()
    assert "qa.jsonl:10" in error.report.read_text()
    (line,) = (error.report.parent / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["uri"] == "qa.jsonl"
    assert {"uri", "offset", "field", "reason"} <= json.loads(line).keys()
    assert not manifest.is_finished(error.report.parent)
    assert not list(home.root.glob("corpora/therapy/*/records/*.parquet"))
    assert build(config(data, min_processed=0.98), home).stage["errors"] == 1


def test_a_shortage_refuses_the_corpus_unless_told_otherwise(data: Path, home: Home) -> None:
    shutil.rmtree(data / "voice")
    five_sources(data, voice=3)
    with pytest.raises(Refused, match="voice has 3 of 8") as refused:
        build(config(data, min_records=40), home)
    assert refused.value.stage["per_source"]["voice"]["short"]
    others = build(config(data, min_records=40, on_shortage="renormalise"), home)
    assert others.stage["per_source"]["voice"] == {
        "in": 3,
        "kept": 3,
        "share": 3 / others.stage["kept"],
        "target": 0.2,
        "short": True,
    }
    again = build(config(data, min_records=40, on_shortage="repeat"), home)
    assert again.stage["per_source"]["voice"]["share"] == pytest.approx(0.2)
    assert again.stage["per_source"]["voice"]["kept"] == 3
    assert len(records(again)) == 40


def test_max_records_and_validation_share_are_in_effect(data: Path, home: Home) -> None:
    result = build(config(data, max_records=40, validation_share=0.3), home)
    assert result.stage["kept"] == 40
    assert Counter(r["split"] for r in records(result))["validation"] == pytest.approx(12, abs=2)


def test_the_name_is_the_folder(data: Path, home: Home) -> None:
    assert build(config(data, name="mine"), home).path.parent == home.root / "corpora" / "mine"


def test_what_stops_the_run_leaves_nothing_half_written(data: Path, home: Home) -> None:
    shutil.rmtree(data / "dual_persona")
    with pytest.raises(SourceError, match="dual_persona"):
        build(config(data), home)
    assert not list(home.root.rglob("*"))


def test_sources_without_a_row_are_refused(tmp_path: Path, home: Home) -> None:
    jsonl(tmp_path / "standard/a.jsonl", [])
    run = Config.model_validate(
        {
            "corpus": {
                "engine": "local",
                "sources": [{"kind": "standard", "path": str(tmp_path / "standard")}],
                "targets": {"standard": 1.0},
            }
        }
    )
    with pytest.raises(UserError, match="hold no rows at all"):
        build(run, home)


def test_sources_without_a_readable_row_are_refused_with_a_report(tmp_path: Path, home: Home) -> None:
    jsonl(tmp_path / "standard/a.jsonl", ["[]", "{}"])
    specs = [{"kind": "standard", "path": str(tmp_path / "standard")}]
    with pytest.raises(Refused, match="2 of 2 could not") as refused:
        build(config(tmp_path, sources=specs, targets={"standard": 1.0}), home)
    assert refused.value.report.is_file()


def test_parts_cut_large_files_and_bunch_small_ones(data: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(config(data), home)
    assert len(annotated.plan_parts(config(data).corpus)) == 5
    monkeypatch.setattr(annotated, "PART_BYTES", 1500)
    monkeypatch.setattr(annotated, "CHUNK_RECORDS", 2)
    parts = annotated.plan_parts(config(data).corpus)
    assert len(parts) > 12
    assert [p.number for p in parts] == list(range(len(parts)))
    pieces = build(config(data), Home.at(home.root.with_name("pieces")))
    assert pieces.fingerprint == whole.fingerprint
    assert records(pieces) == records(whole)
    assert (pieces.path / "rejects.parquet").read_bytes() == (whole.path / "rejects.parquet").read_bytes()


def test_no_word_of_a_record_is_in_report_manifest_or_quarantine(data: Path, home: Home) -> None:
    canary = ("canarybird", "the lighthouse", "restless")
    rows = [
        qa(canary),
        qa(canary),
        edge_case(canary),
        '{"question": "canarybird',
        {"question": "canarybird", "answer": 3},
    ]
    jsonl(data / "standard/canary.jsonl", rows)
    jsonl(data / "edge_case/canary.jsonl", [edge_case(canary, category="suicidality"), edge_case(canary)])
    result = build(config(data, min_processed=0.5), home)
    assert result.stage["errors"] == 3
    for name in ("report.html", "quarantine.jsonl", "manifest.json"):
        assert "canarybird" not in (result.path / name).read_text()


def test_the_engine_setting_chooses_the_engine(data: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(pipeline, "build", lambda *_: called.append("local"))
    corpus.build(config(data), home)
    assert called == ["local"]
