from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pe_ray.corpus import shards
from pe_ray.corpus.explain import Story, explain, lines
from pe_ray.corpus.pipeline import CorpusResult, build
from pe_ray.corpus.snapshot import Refused
from pe_ray.errors import UserError
from pe_ray.store.paths import Home
from tests.corpus.write import answer, edge_case, jsonl, nearly, one_source, question, scenes

SCENES = list(scenes(8))
OFF = "Repot orchids each spring in fresh bark and mist their leaves at noon."
KEPT, REJECTED, NEAR, HELD, BROKEN = 1, 2, 5, 6, 7
"""The lines of the file."""


@pytest.fixture
def file(tmp_path: Path, no_plots: None) -> Path:
    """An edge-case file with everything that a row can come to; a speaker of line 1 gives away a mail address."""
    told = question(*SCENES[0]) + " Write to ana.lopes@example.org."
    rows = [
        edge_case(SCENES[0], client=f"<p>{told}</p>"),
        edge_case(SCENES[1], therapist=OFF),
        edge_case(SCENES[2]),
        edge_case(SCENES[3]),
        edge_case(SCENES[3], therapist=nearly(answer(*SCENES[3]))),
        edge_case(SCENES[4], category="suicidality"),
        {"category": "therapy_resistance", "client": 5},
    ]
    return jsonl(tmp_path / "data/rows.jsonl", rows)


@pytest.fixture
def built(file: Path, home: Home) -> CorpusResult:
    return build(one_source(file, "edge_case", min_processed=0.5, checks={"coherence_min": 0.2}), home)


Tell = Callable[[str], Story]


@pytest.fixture
def tell(built: CorpusResult, home: Home) -> Tell:
    return lambda ref: explain(home, ref)


def id_at(result: CorpusResult, line: int) -> str:
    rows = pq.read_table(result.path / "decisions.parquet").to_pylist()
    return next(r["id"] for r in rows if r["offset"] == line)


def text(story: Story) -> str:
    return "\n".join(lines(story))


def test_a_kept_record_from_its_row_to_its_file(built: CorpusResult, tell: Tell) -> None:
    story = tell(id_at(built, KEPT))
    assert (story.status, story.place["uri"], story.place["offset"]) == ("kept", "rows.jsonl", KEPT)
    assert story.raw is not None and story.cleaned is not None
    assert story.raw[0]["text"].startswith("<p>")
    assert "<p>" not in story.cleaned[0]["text"]
    assert "ana.lopes@example.org" not in story.cleaned[0]["text"]
    assert "html" in story.changes
    assert story.notes["pii"] == [{"type": "email", "count": 1}]
    assert {v["check"]: v["least"] for v in story.verdicts}["coherence"] == 0.2
    assert all(v["passed"] for v in story.verdicts)
    path, _, row = story.went_to.partition(", row ")
    assert pq.read_table(path)["id"][int(row)].as_py() == story.place["id"]
    said = text(story)
    assert f"decision   kept in {story.decision['split']}" in said
    assert "as read\n  user: <p>After" in said
    assert "cleaned\n  user: After" in said
    assert "crisis_level   0" in said


def test_a_rejected_record_and_the_check_that_did_it(built: CorpusResult, tell: Tell) -> None:
    story = tell(id_at(built, REJECTED))
    assert (story.status, story.decision["stage"]) == ("rejected", "coherence")
    assert [v["check"] for v in story.verdicts if not v["passed"]] == ["coherence"]
    assert story.went_to.endswith("rejects.parquet")
    assert "decision   rejected by coherence: score" in text(story)
    assert "FAIL  coherence" in text(story)


def test_a_near_duplicate_and_what_stays_in_its_place(built: CorpusResult, tell: Tell) -> None:
    stories = [tell(id_at(built, n)) for n in (NEAR - 1, NEAR)]
    merged, kept = sorted(stories, key=lambda s: s.status == "kept")
    assert (merged.status, merged.decision["stage"], kept.status) == ("rejected", "dedup", "kept")
    assert merged.decision["reason"].startswith(f"nearly the same text as {kept.place['id']}, Jaccard 0.")
    assert merged.cluster == kept.cluster
    assert {c["record_id"] for c in kept.cluster} == {merged.place["id"], kept.place["id"]}
    assert f"cluster  {merged.place['id']}  near, likeness 0." in text(kept)


def test_a_held_record_waits_where_it_is_said(built: CorpusResult, tell: Tell) -> None:
    story = tell(id_at(built, HELD))
    assert (story.status, story.decision["held_for"]) == ("held", ["suicidality"])
    assert pq.read_table(story.went_to)["id"].to_pylist() == [story.place["id"]]
    assert "decision   held for suicidality" in text(story)
    assert [v["check"] for v in story.verdicts if not v["passed"]] == ["crisis", "appropriateness"]


def test_a_quarantined_row_by_its_place(tell: Tell) -> None:
    story = tell(f"rows.jsonl:{BROKEN}")
    assert (story.status, story.raw, story.cleaned) == ("quarantined", None, None)
    assert story.decision["stage"] == "read"
    assert story.went_to.endswith("quarantine.jsonl")
    said = text(story)
    assert f"rows.jsonl:{BROKEN}" in said
    assert "decision   quarantined by read: difficulty: is missing; text is wanted" in said
    assert "as read" not in said


def test_a_record_is_known_by_its_beginning_and_by_its_place(built: CorpusResult, tell: Tell) -> None:
    whole = tell(id_at(built, KEPT))
    for ref in (whole.place["id"][:6], f"rows.jsonl:{KEPT}", f"edge_case:rows.jsonl:{KEPT}"):
        assert tell(ref) == whole


def test_the_story_is_json(built: CorpusResult, tell: Tell) -> None:
    for line in (KEPT, REJECTED, NEAR, HELD):
        story = tell(id_at(built, line))
        assert json.loads(json.dumps(asdict(story))) == asdict(story)


def test_what_is_in_no_corpus_is_one_line(tell: Tell) -> None:
    for ref in (
        *("0000000000", "abc", "", ":", "rows.jsonl:", "rows.jsonl:99", "rows.jsonl:²", "rows.jsonl:" + "9" * 30),
        *("../x:1", "rows.jsonl:-1", "voice:rows.jsonl:1"),
    ):
        with pytest.raises(UserError, match="is not in any corpus") as told:
            tell(ref)
        assert "\n" not in str(told.value)


def test_a_beginning_that_fits_several_names_them(
    built: CorpusResult, tell: Tell, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pe_ray.corpus import explain as module

    monkeypatch.setattr(module, "SHORTEST_ID", 0)
    with pytest.raises(UserError, match=r"record=: fits 6 records; give one id of [0-9a-f]{32}.*, \.\.\.$") as told:
        tell("")
    assert "\n" not in str(told.value)


def test_a_place_of_two_sources_is_told_apart_by_its_source(tmp_path: Path, home: Home, no_plots: None) -> None:
    from tests.corpus.write import qa

    specs = [
        {"kind": "edge_case", "path": str(jsonl(tmp_path / "e/a.jsonl", [edge_case(SCENES[0])]))},
        {"kind": "standard", "path": str(jsonl(tmp_path / "s/a.jsonl", [qa(SCENES[1]), "{"]))},
    ]
    targets = {"edge_case": 0.5, "standard": 0.5}
    build(one_source(tmp_path, sources=specs, targets=targets, min_processed=0.5), home)
    with pytest.raises(UserError, match=r"record=a\.jsonl:1: fits 2 records; give one id of"):
        explain(home, "a.jsonl:1")
    assert explain(home, "edge_case:a.jsonl:1").place["source"] == "edge_case"
    assert explain(home, "standard:a.jsonl:2").status == "quarantined"


def test_a_file_that_is_listed_twice_tells_of_the_one_that_stayed(tmp_path: Path, home: Home, no_plots: None) -> None:
    spec = {"kind": "edge_case", "path": str(jsonl(tmp_path / "a.jsonl", [edge_case(s) for s in SCENES]))}
    result = build(one_source(tmp_path, "edge_case", sources=[spec, spec]), home)
    assert (result.stage["kept"], result.stage["rejected"]) == (8, 8)
    assert explain(home, id_at(result, 1)).status == "kept"


def test_the_row_is_not_to_be_had_when_its_source_has_gone(built: CorpusResult, tell: Tell, file: Path) -> None:
    before = tell(id_at(built, KEPT))
    content = file.read_text()
    file.write_text(content.replace("ana.lopes", "ana"))
    changed = tell(id_at(built, KEPT))
    file.unlink()
    gone = tell(id_at(built, KEPT))
    for story in (changed, gone):
        assert story.raw is None
        assert story.cleaned == before.cleaned
        assert "as read    not to be had: the source has changed or gone" in text(story)
    assert tell(f"rows.jsonl:{BROKEN}").status == "quarantined"


def test_the_story_goes_on_when_the_shards_were_deleted(built: CorpusResult, tell: Tell, home: Home) -> None:
    before = {n: tell(id_at(built, n)) for n in (KEPT, REJECTED, HELD)}
    shutil.rmtree(shards.pool(one_source(Path()).corpus, home))
    for line in (KEPT, HELD):  # the snapshot has them
        after = tell(id_at(built, line))
        assert (after.cleaned, after.changes, after.verdicts) == (
            before[line].cleaned,
            before[line].changes,
            before[line].verdicts,
        )
    rejected = tell(id_at(built, REJECTED))
    assert (rejected.raw, rejected.cleaned, rejected.decision) == (
        before[REJECTED].raw,
        None,
        before[REJECTED].decision,
    )
    assert "cleaned    not to be had: its shard was deleted; build the corpus again" in text(rejected)
    assert "changes" not in text(rejected)


def test_a_refused_corpus_tells_too_and_names_no_file_that_is_not_there(file: Path, home: Home) -> None:
    with pytest.raises(Refused):
        build(one_source(file, "edge_case", name="strict"), home)
    for line in (1, HELD, REJECTED):
        story = explain(home, f"rows.jsonl:{line}", "strict")
        assert story.corpus == "strict (refused)"
        path = story.went_to.removesuffix(" (refused: its records were not written)")
        assert Path(path).exists()
    assert explain(home, f"rows.jsonl:{BROKEN}", "strict").status == "quarantined"


def test_the_newest_corpus_that_knows_it_tells(file: Path, home: Home, built: CorpusResult) -> None:
    other = build(one_source(file, "edge_case", name="other", min_processed=0.5), home)
    assert explain(home, id_at(other, KEPT)).corpus == "other"
    assert explain(home, id_at(built, KEPT), "therapy").corpus == "therapy"
    with pytest.raises(UserError, match="corpus=third: no corpus of that name; there are other, therapy"):
        explain(home, id_at(built, KEPT), "third")


def test_a_name_that_no_corpus_has_is_refused_with_those_there_are(home: Home) -> None:
    for name in ("therapi", str(home.root / "corpora" / "therapy")):
        with pytest.raises(UserError, match=r"no corpus of that name; there are "):
            explain(home, "anything.jsonl:1", name)
