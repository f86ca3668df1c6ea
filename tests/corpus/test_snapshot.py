from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_ray.corpus import shards, snapshot
from pe_ray.corpus.neardup import Index
from pe_ray.corpus.pipeline import CorpusResult, Here, build
from pe_ray.corpus.snapshot import Refused
from pe_ray.record import RECORD_SCHEMA, REJECT_SCHEMA, from_table
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.write import config, edge_case, jsonl, nearly, one_source, qa, scenes

ROW = [qa(s) for s in scenes(12)]


def table(result: CorpusResult, name: str) -> list[dict[str, Any]]:
    return pq.read_table(result.path / name).to_pylist()


@pytest.fixture
def small(tmp_path: Path, no_plots: None) -> Path:
    """One source in which every third thing happens once."""
    near = {**ROW[1], "answer": nearly(ROW[1]["answer"]), "topics": ["harbour", "sea"]}
    return jsonl(tmp_path / "small/a.jsonl", [*ROW[:8], ROW[0], near, {"question": "canarybird?"}])


def test_the_files_have_the_promised_shapes(data: Path, home: Home) -> None:
    jsonl(data / "edge_case/held.jsonl", [edge_case(s, category="suicidality") for s in scenes(2, 390)])
    result = build(config(data, test_share=0.1), home)
    kept = pq.read_table(result.path / "records")
    assert kept.schema.names == [*RECORD_SCHEMA.names, "split"]
    assert set(kept["split"].to_pylist()) == {"train", "validation", "test"}
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
    assert (result.path / "README.md").read_text().startswith("---\n")
    concepts = [json.loads(line) for line in (result.path / "concepts.jsonl").read_text().splitlines()]
    assert len(concepts) == 9
    decisions = pq.read_table(result.path / "decisions.parquet")
    assert len(decisions) == len(kept) + len(review) + len(rejects)


def test_a_survivor_says_what_it_stands_for(small: Path, home: Home) -> None:
    result = build(one_source(small, min_processed=0.5), home)
    kept = {r["offset"]: json.loads(r["metadata"]) for r in table(result, "records")}
    merged = {line: json.loads(m["merged_from"]) for line, m in kept.items() if "merged_from" in m}
    assert sorted([line, *(int(f.rpartition(":")[2]) for f in found)] for line, found in merged.items()) in (
        [[1, 9], [2, 10]],
        [[1, 9], [10, 2]],
        [[2, 10], [9, 1]],
        [[9, 1], [10, 2]],
    )
    (near,) = [m for line, m in kept.items() if line in (2, 10)]
    assert set(near["topics"].split(",")) == {"home", "harbour", "sea"}
    clusters = table(result, "clusters.parquet")
    assert sorted(c["kind"] for c in clusters) == ["exact", "near", "survivor", "survivor"]
    gone = {r["record_id"] for r in table(result, "rejects.parquet") if r["stage"] == "dedup"}
    assert gone == {c["record_id"] for c in clusters if c["kind"] != "survivor"}


def test_records_are_fetched_in_the_order_of_their_rows(data: Path, home: Home) -> None:
    folders = shards.ensure(config(data, part_mib=0.002).corpus, home, Here().fill)
    keys = shards.read_keys(folders, ("source", "uri", "offset", "id", "row_key"))
    rows = keys.take(pa.array(range(len(keys) - 1, -1, -3)))
    nothing = pa.array([None] * len(rows))
    for name in ("held_for", "decided_by"):
        rows = rows.append_column(name, nothing.cast(pa.list_(pa.string())))
    rows = rows.append_column("merged", nothing.cast(pa.string()))
    found = snapshot.fetch(rows, folders, config(data).corpus.checks)
    assert found["id"].to_pylist() == rows["id"].to_pylist()
    assert found.schema == RECORD_SCHEMA
    assert len(snapshot.fetch(rows.slice(0, 0), folders, config(data).corpus.checks)) == 0


def test_many_records_become_several_files(data: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    one = build(config(data), home)
    monkeypatch.setattr(snapshot, "FILE_RECORDS", 20)
    two = build(config(data), Home.at(home.root.with_name("other")))
    assert [p.name for p in sorted((two.path / "records").iterdir())] == [
        "00000.parquet",
        "00001.parquet",
        "00002.parquet",
    ]
    assert table(one, "records") == table(two, "records")


def test_a_repeated_record_stands_in_it_as_often_as_it_was_taken(data: Path, home: Home) -> None:
    for path in sorted((data / "voice").iterdir())[3:]:
        path.unlink()
    result = build(config(data, min_records=40, on_shortage="repeat"), home)
    voices = [r["id"] for r in table(result, "records") if r["source"] == "voice"]
    assert (len(voices), len(set(voices))) == (8, 3)


def test_exports_that_the_run_asks_for_are_written(small: Path, home: Home) -> None:
    result = build(one_source(small, min_processed=0.5), home)
    assert not (result.path / "exports").exists()
    formats = ["jsonl", "json", "csv", "messages"]
    again = build(one_source(small, min_processed=0.5, formats=formats), home)
    assert again == result
    assert sorted(p.name for p in (result.path / "exports").iterdir()) == sorted(formats)
    rows = [json.loads(x) for f in (result.path / "exports/jsonl").glob("*.jsonl") for x in f.read_text().splitlines()]
    assert {r["id"] for r in rows} == {r["id"] for r in table(result, "records")}
    assert "canarybird" not in "".join(f.read_text() for f in (result.path / "exports").rglob("*.*"))
    manifest.read(result.path, "corpus", verify=True)


def test_an_index_keeps_the_next_crawl_from_taking_the_same(small: Path, tmp_path: Path, home: Home) -> None:
    """Also where the snapshot was there before somebody asked for its index."""
    first = build(one_source(small, min_processed=0.5), home)
    told = {"save_index": True}
    again = build(one_source(small, min_processed=0.5, duplicates=told), home)
    assert again == first
    known = Index.open(first.path / "index")
    assert known.ids.to_pylist() == sorted(r["id"] for r in table(first, "records"))
    build(one_source(small, min_processed=0.5, duplicates=told), home)  # and once more finds it
    later = jsonl(tmp_path / "later.jsonl", [ROW[2], {**ROW[3], "answer": nearly(ROW[3]["answer"])}, *ROW[9:]])
    second = build(one_source(later, name="later", duplicates={"index": str(first.path / "index")}), home)
    assert [r["offset"] for r in table(second, "records")] == [3, 4, 5]
    reasons = [r["reason"] for r in table(second, "rejects.parquet")]
    assert [r.split(" of the index, Jaccard ")[0].split()[1] in known.ids.to_pylist() for r in reasons] == [True, True]
    assert {c["kind"] for c in table(second, "clusters.parquet")} == {"indexed"}


def test_evaluation_sets_keep_their_texts_out_and_none_is_said_too(small: Path, tmp_path: Path, home: Home) -> None:
    (tmp_path / "one.csv").write_text("prompt\n" + " ".join(ROW[4]["question"].replace(",", "").split()[-14:]) + "\n")
    (tmp_path / "two.txt").write_text("Which lighthouse did you see from the ferry?\n")
    sets = [
        {"name": "bench", "path": str(tmp_path / "one.csv"), "columns": ["prompt"]},
        {"name": "bench two", "path": str(tmp_path / "two.txt")},
    ]
    result = build(one_source(small, min_processed=0.5, decontaminate=sets), home)
    (gone,) = [r for r in table(result, "rejects.parquet") if r["stage"] == "decontaminate"]
    assert gone["reason"] == "bench: item 1"
    assert 5 not in [r["offset"] for r in table(result, "records")]
    assert "holds their words: bench 1, bench two 0." in (result.path / "README.md").read_text()


def test_a_set_that_nothing_matches_is_on_the_card_too(small: Path, tmp_path: Path, home: Home) -> None:
    (tmp_path / "two.txt").write_text("Which lighthouse did you see from the ferry?\n")
    plain = build(one_source(small, min_processed=0.5), home)
    told = [{"name": "ferry", "path": str(tmp_path / "two.txt")}]
    checked = build(one_source(small, min_processed=0.5, decontaminate=told), home)
    assert "ferry" in (checked.path / "README.md").read_text()
    assert "ferry" not in (plain.path / "README.md").read_text()
    (tmp_path / "two.txt").rename(tmp_path / "moved.txt")
    told = [{"name": "ferry", "path": str(tmp_path / "moved.txt")}]
    assert build(one_source(small, min_processed=0.5, decontaminate=told), home).fingerprint == checked.fingerprint


def test_no_word_of_a_record_is_in_what_is_shown_or_sent_around(data: Path, home: Home) -> None:
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
    for name in ("report.html", "quarantine.jsonl", "manifest.json", "README.md", "settings.json"):
        assert "canarybird" not in (result.path / name).read_text(), name
    for name in ("rejects.parquet", "clusters.parquet", "decisions.parquet"):
        assert "canarybird" not in str(table(result, name)), name


# --- gates ------------------------------------------------------------------------------------------------------------


def test_too_many_unreadable_rows_refuse_the_corpus_but_leave_its_report(data: Path, home: Home) -> None:
    path = data / "standard/qa.jsonl"
    jsonl(path, [*path.read_text().splitlines(), "{not json"])
    named = r"corpus\.min_processed=0\.99: only 0\.98.* \(1 of 60 could not; by source: standard 0\.94\d*\)"
    with pytest.raises(Refused, match=named) as refused:
        build(config(data), home)
    error = refused.value
    assert error.exit_code == 3
    assert error.stage["errors"] == 1
    assert "qa.jsonl:10" in error.report.read_text()
    folder = error.report.parent
    (line,) = (folder / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["uri"] == "qa.jsonl"
    assert {"source", "uri", "offset", "field", "reason"} <= json.loads(line).keys()
    assert not manifest.is_finished(folder)
    assert not (folder / "records").exists()
    assert not (folder / "review.parquet").exists()
    assert not list(home.root.glob("corpora/therapy/*/records/*.parquet"))
    assert build(config(data, min_processed=0.94), home).stage["errors"] == 1


def test_the_worst_source_is_named_first(data: Path, home: Home) -> None:
    for name, broken in (("standard", 1), ("dual_persona", 2), ("psychology", 1)):
        jsonl(data / name / "broken.jsonl", ["{"] * broken)
    with pytest.raises(Refused, match=r"by source: dual_persona 0\.7500, psychology 0\.9000, standard 0\.9474\)"):
        build(config(data), home)


def test_refused_again_is_refused_anew(data: Path, home: Home) -> None:
    jsonl(data / "standard/broken.jsonl", ["{", "["])
    reports = set()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            build(config(data), home)
        reports.add(refused.value.report)
    (report,) = reports
    assert sorted(p.name for p in report.parent.iterdir()) == [
        "clusters.parquet",
        "concepts.jsonl",
        "decisions.parquet",
        "quality.json",
        "quarantine.jsonl",
        "rejects.parquet",
        "report.html",
        "settings.json",
    ]
