"""A held record reaches no corpus but by a reviewer's signature, and then only as it was when it was signed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, insert, update

from pe_ray.config import CorpusConfig, GenerateConfig
from pe_ray.corpus import shards
from pe_ray.corpus.decide import decide as decide_all
from pe_ray.corpus.duplicates import none
from pe_ray.corpus.formats import FORMATS, export
from pe_ray.corpus.generate import protocol
from pe_ray.corpus.generate.task import prepare
from pe_ray.corpus.loader import StreamingLoader
from pe_ray.corpus.pipeline import CorpusResult, build
from pe_ray.corpus.review import APPROVED, MARKED, Docket, category_of, standing
from pe_ray.corpus.stages import Settings, annotate
from pe_ray.corpus.tokenise import tokenise
from pe_ray.errors import ManifestError
from pe_ray.record import Example, Message, Record, to_table
from pe_ray.security.decisions import Decision, Matter, record
from pe_ray.store import manifest
from pe_ray.store.corpora import open_corpus
from pe_ray.store.db import open_database
from pe_ray.store.ops import HELD_LABEL, MIGRATIONS, REVIEW_DECISION, REVIEWER
from pe_ray.store.paths import Home
from pe_ray.train.base import training_records
from pe_ray.train.data import read_examples
from tests.corpus import finished
from tests.corpus.reviewing import (
    GRAVE,
    NO_THRESHOLDS,
    REASON,
    SCENES,
    decide,
    held,
    kept,
    plain,
    rejects,
    reviewer,
    rows,
    source,
    two_sources,
    words,
)
from tests.corpus.test_pipeline import assert_same
from tests.corpus.write import answer, edge_case, nearly, question

pytestmark = pytest.mark.usefixtures("no_plots")


def balanced(result: CorpusResult) -> bool:
    s = result.stage
    return s["records_in"] == s["kept"] + s["rejected"] + s["held_for_review"] + s["errors"]


def by_category(result: CorpusResult) -> str:
    """The record that its category holds."""
    (found,) = [r["id"] for r in pq.read_table(result.path / "review.parquet").to_pylist() if r["offset"] == 1]
    return found


def ops(home: Home):
    return open_database(home.database("ops"), MIGRATIONS).begin()


# --- what a decision does ---------------------------------------------------------------------------------------------


def test_an_approved_record_is_decided_on_like_any_other(tmp_path: Path, home: Home) -> None:
    run = source(tmp_path)
    before = build(run, home)
    assert [sorted(w) for w in held(before).values()] == [["suicidality"]] * 2
    first, second = held(before)
    approval = decide(home, reviewer(home), first)
    after = build(run, home)
    assert after.fingerprint != before.fingerprint
    assert set(held(after)) == {second} and first in kept(after)
    assert balanced(after)
    assert after.stage["review"] == {
        "waiting": 1, "approved": 1, "rejected": 0, "oldest_days": 0.0, "median_days": 0.0,
    }  # fmt: skip
    row = kept(after)[first]
    told = json.loads(row["metadata"])
    assert (told["review"], told["review_decisions"]) == ("approved", approval.id)
    assert all(v["passed"] for v in row["verdicts"])
    found = manifest.read(after.path, "corpus")
    assert found.facts["decisions"] == [approval.id]
    assert "review" in found.parents and "review" not in manifest.read(before.path, "corpus").parents
    (decision,) = pq.read_table(after.path / "decisions.parquet", filters=[("id", "=", first)]).to_pylist()
    assert (decision["status"], decision["reason"], decision["decided_by"]) == ("kept", APPROVED, [approval.id])
    assert REASON not in "".join(p.read_text(errors="ignore") for p in after.path.rglob("*") if p.is_file())
    assert build(run, home).fingerprint == after.fingerprint
    other = build(source(tmp_path, name="other"), home)  # an approval is for the corpus that it was given for
    assert set(held(other)) == set(held(before))


def test_an_approved_record_must_still_pass_the_checks(tmp_path: Path, home: Home) -> None:
    run = source(tmp_path, checks={**NO_THRESHOLDS, "appropriateness_min": 1.0})
    held_id = by_category(build(run, home))
    decide(home, reviewer(home), held_id)
    again = build(run, home)
    assert rejects(again)[held_id][0] == "appropriateness"
    assert balanced(again)


def test_a_rejected_record_is_a_reject_that_names_the_decision(tmp_path: Path, home: Home) -> None:
    run = source(tmp_path)
    first = next(iter(held(build(run, home))))
    rejection = decide(home, reviewer(home), first, "reject")
    after = build(run, home)
    assert rejects(after)[first] == ("review", f"rejected by decision {rejection.id}")
    assert balanced(after) and after.stage["review"]["rejected"] == 1
    page = (after.path / "report.html").read_text()
    assert "rejected by a reviewer" in page and rejection.id not in page and REASON not in page


def test_the_last_word_counts_and_all_stay_on_record(tmp_path: Path, home: Home) -> None:
    run = source(tmp_path)
    waiting = build(run, home)
    first = next(iter(held(waiting)))
    vega, moss = reviewer(home), reviewer(home, "moss")
    decide(home, vega, first)
    approved = build(run, home)
    decide(home, moss, first, "withdraw")
    again = build(run, home)
    assert again.fingerprint == waiting.fingerprint  # as if nothing had been said
    decide(home, moss, first, "reject")
    assert first in rejects(build(run, home))
    decide(home, vega, first)
    assert first in kept(build(run, home)) and first in kept(approved)
    assert [d.verb for d in Docket.load(home, run.corpus).decisions[first]] == [
        "approve", "withdraw", "reject", "approve",
    ]  # fmt: skip


def test_under_the_two_person_rule_two_different_reviewers_approve(tmp_path: Path, home: Home) -> None:
    run = source(tmp_path, review={"two_person": True})
    first = next(iter(held(build(run, home))))
    vega, moss = reviewer(home), reviewer(home, "moss")
    decide(home, vega, first)
    decide(home, vega, first)
    assert first in held(build(run, home))
    decide(home, moss, first)
    assert first in kept(build(run, home))


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ({}, "approved"),
        ({"held_for": ("a",)}, "approved"),
        ({"level": 1}, "approved"),
        ({"content": "changed"}, "waiting"),
        ({"held_for": ("a", "b", "c")}, "waiting"),
        ({"level": 3}, "waiting"),
    ],
)
def test_an_approval_binds_what_was_seen(now: dict, state: str) -> None:
    matter = Matter("therapy", "r1", "content", ("a", "b"), 2)
    given = Decision("d1", matter, "approve", "vega", REASON, "2026-01-01")
    assert standing([given], replace(matter, **now), two_person=False).state == state
    rejected = replace(given, verb="reject")
    assert standing([rejected], replace(matter, **now), False).state == ("waiting" if "content" in now else "rejected")


def test_an_approval_does_not_outlive_a_change_of_the_text_or_of_the_row(tmp_path: Path, home: Home) -> None:
    first = by_category(build(source(tmp_path), home))
    decide(home, reviewer(home), first)
    assert first in kept(build(source(tmp_path), home))
    changed = rows()
    changed[0]["purpose"] = "something else"
    assert first in held(build(source(tmp_path, changed), home))  # the same words, another row
    changed[0]["client"] += " And one more sentence."
    result = build(source(tmp_path, changed), home)
    assert len(held(result)) == 2 and first not in held(result) and "one more sentence" not in words(result)


@pytest.mark.ray
def test_both_engines_apply_the_same_decisions(tmp_path: Path, home: Home, ray_cluster: None) -> None:
    from pe_ray.corpus import job

    run = source(tmp_path)
    first, second = held(build(run, home))
    signer = reviewer(home)
    decide(home, signer, first)
    decide(home, signer, second, "reject")
    here = build(run, home)
    there = job.build(source(tmp_path, engine="ray"), Home(tmp_path / "there", home.state))
    assert there.fingerprint == here.fingerprint
    assert_same(there.path, here.path)


# --- never unreviewed: attempts, each refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"checks": {"review_level": 4, **NO_THRESHOLDS}},
        {"pii": {"tier": "off"}, "min_processed": 0.0, "edge_cells": "even"},
        {"duplicates": {"near": False}, "max_per_question": 1, "on_shortage": "repeat", "max_repeat": 9},
        {"review": {"two_person": False}, "name": "another"},
    ],
)  # fmt: skip
def test_attempt_1_settings_release_nothing(tmp_path: Path, home: Home, settings: dict) -> None:
    found = rows()
    found[2] = edge_case(SCENES[2], category="homicidal_client")
    found[3] = edge_case(SCENES[3], category="child_abuse_reporting")
    result = build(source(tmp_path, found, **settings), home)
    assert sorted(w for why in held(result).values() for w in why) == [
        "child abuse", "homicidal ideation", "suicidality", "suicidality",
    ]  # fmt: skip
    assert not set(held(result)) & set(kept(result)) and GRAVE not in words(result)


@pytest.mark.parametrize(
    "category", ["Suicidality", " suicidality ", "SUICIDALITY", "suicidality-", "homicidal client"]
)
def test_attempt_2_a_category_is_the_same_however_it_is_written(category: str) -> None:
    assert category_of(category) in ("suicidality", "homicidal_client")


def test_attempt_2_a_label_is_not_taken_back_by_editing_the_row(tmp_path: Path, home: Home) -> None:
    found = rows()
    found[2] = edge_case(SCENES[2], review="required")
    before = held(build(source(tmp_path, found), home))
    renamed = rows()
    renamed[0] = edge_case(SCENES[0])  # the category, the mark: as if they had never been there
    after = build(source(tmp_path, renamed), home)
    assert held(after) == before
    assert sorted(w for why in before.values() for w in why) == [MARKED, "suicidality", "suicidality"]
    moved = rows()[1:]  # and the words in another file, of another kind
    copied = {"question": found[0]["client"].upper(), "answer": found[0]["therapist"], "topics": ["home"]}
    elsewhere = build(two_sources(tmp_path, moved, [copied, *plain()], name="elsewhere"), home)
    assert ["suicidality"] in held(elsewhere).values()
    assert found[0]["client"].upper() not in words(elsewhere)


@pytest.mark.parametrize("copy", ["exact", "near"])
def test_attempt_3_a_duplicate_in_another_source_is_held_with_it(tmp_path: Path, home: Home, copy: str) -> None:
    """However good the copy is."""
    asked, said = question(*SCENES[0]), answer(*SCENES[0])
    more = [{"question": asked, "answer": said if copy == "exact" else nearly(said), "topics": ["home"]}]
    result = build(two_sources(tmp_path, rows()[:1], [*more, *plain()]), home)
    told = pq.read_table(result.path / "decisions.parquet").to_pylist()
    (one,) = [d for d in told if d["source"] == "standard" and d["offset"] == 1]
    assert one["status"] == "held" or one["stage"] == "dedup"
    assert asked not in words(result)


def test_attempt_3_nor_what_is_left_of_a_chain_of_near_duplicates() -> None:
    """The held one was removed for resembling the first; the last resembled it, and not the first."""
    settings = Settings.of(CorpusConfig())
    categories = ("cultural_conflicts", "suicidality", "therapy_resistance")
    told = [edge_case(s, category=c) for s, c in zip(SCENES[:3], categories, strict=True)]
    records = [
        Record.create(
            source="edge_case", domain="mental_health", content_type="edge_case", uri="a", offset=n, licence="",
            attribution="", metadata={"category": row["category"]},
            messages=[Message("user", row["client"]), Message("assistant", row["therapist"])],
        )
        for n, row in enumerate(told)
    ]  # fmt: skip
    keys = annotate(to_table(records), settings)
    chain = replace(
        none(3), stands_for=np.array([0, 0, 2]), kind=np.array([0, 2, 0], np.int8), root=np.array([0, 0, 0])
    )
    config = CorpusConfig.model_validate({"targets": {"edge_case": 1.0}, "min_records": 0, "checks": NO_THRESHOLDS})
    found = decide_all(keys, config, chain).table.to_pylist()
    assert [(row["status"], row["held_for"]) for row in found] == [
        ("held", ["suicidality"]), ("rejected", []), ("held", ["suicidality"]),
    ]  # fmt: skip
    alone = decide_all(keys, config, replace(chain, root=np.arange(3))).table["status"].to_pylist()
    assert alone == ["held", "rejected", "kept"]


def test_attempt_3_an_approval_of_one_is_none_of_its_copy(tmp_path: Path, home: Home) -> None:
    found, copy = rows()[:1], {"question": question(*SCENES[0]), "answer": answer(*SCENES[0]) + " Hm?", "topics": ["x"]}
    first = by_category(build(two_sources(tmp_path, found, plain()), home))
    decide(home, reviewer(home), first)
    assert first in kept(build(two_sources(tmp_path, found, plain()), home))
    told = pq.read_table(build(two_sources(tmp_path, found, [copy, *plain()]), home).path / "decisions.parquet")
    status = {(d["source"], d["offset"]): d["status"] for d in told.to_pylist()}
    assert status["standard", 1] != "kept"


def forge(home: Home, result: CorpusResult, record_id: str, **over: object) -> None:
    """An approval as somebody writes it into the database by hand."""
    (row,) = pq.read_table(result.path / "review.parquet", filters=[("id", "=", record_id)]).to_pylist()
    told = {
        "id": "forged", "corpus": "therapy", "record_id": record_id, "content": row["content"], "level": row["level"],
        "held_for": json.dumps(row["held_for"]), "verb": "approve", "reviewer": "vega", "reason": REASON,
        "at": "2026-01-01T00:00:00+00:00", "signature": b"x" * 64,
    }  # fmt: skip
    with ops(home) as c:
        c.execute(insert(REVIEW_DECISION).values(**told | over))


def test_attempt_4_an_approval_put_into_the_database_is_not_believed(tmp_path: Path, home: Home) -> None:
    run, said = source(tmp_path), []
    before = build(run, home)
    first = next(iter(held(before)))
    reviewer(home)
    forge(home, before, first)
    after = build(run, home, said.append)
    assert held(after) == held(before) and after.fingerprint == before.fingerprint
    assert "corpus: decision forged: has no line in the audit chain; not believed (pe-ray audit verify)" in said


def test_attempt_4_nor_one_of_a_reviewer_put_into_the_database(tmp_path: Path, home: Home) -> None:
    """With a key of the forger's own, signed and chained as it should be, but not sealed by the home's key."""
    run, other = source(tmp_path), Home.at(tmp_path / "forger")
    before = build(run, home)
    first = next(iter(held(before)))
    forger = reviewer(other, "vega")
    with ops(other) as c:
        row = dict(c.execute(REVIEWER.select()).mappings().one())
    reviewer(home, "moss")
    with ops(home) as c:
        c.execute(insert(REVIEWER).values(**row))
    record(home, forger, Docket.load(home, run.corpus) and _matter(before, first), "approve", REASON)
    said: list[str] = []
    after = build(run, home, said.append)
    assert held(after) == held(before)
    assert any("reviewer vega has no key on record" in line for line in said)


def _matter(result: CorpusResult, record_id: str) -> Matter:
    (row,) = pq.read_table(result.path / "review.parquet", filters=[("id", "=", record_id)]).to_pylist()
    return Matter("therapy", record_id, row["content"], tuple(row["held_for"]), row["level"])


@pytest.mark.parametrize("what", ["held_for", "content", "record_id", "verb"])
def test_attempt_4_nor_one_that_was_changed(tmp_path: Path, home: Home, what: str) -> None:
    run = source(tmp_path)
    before = build(run, home)
    first, second = held(before)
    decision = decide(home, reviewer(home), first, "reject")
    value = {
        "held_for": '["child abuse"]',
        "content": _matter(before, second).content,
        "record_id": second,
        "verb": "approve",
    }
    with ops(home) as c:
        c.execute(update(REVIEW_DECISION).values({what: value[what]}))
    assert held(build(run, home)) == held(before), decision.id


def test_attempt_4_nor_one_whose_withdrawal_was_removed(tmp_path: Path, home: Home) -> None:
    run = source(tmp_path)
    before = build(run, home)
    first, signer = next(iter(held(before))), reviewer(home)
    decide(home, signer, first)
    gone = decide(home, signer, first, "withdraw")
    with ops(home) as c:
        c.execute(delete(REVIEW_DECISION).where(REVIEW_DECISION.c.id == gone.id))
    assert held(build(run, home)) == held(before)


def put_among_the_records(result: CorpusResult) -> None:
    file = result.path / "records" / "00000.parquet"
    row = pq.read_table(result.path / "review.parquet").drop_columns(["held_for", "level", "content"])
    row = row.append_column("split", pa.array(["train"] * len(row)))
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table, row.select(table.schema.names).cast(table.schema)]), file)


def put_beside_the_records(result: CorpusResult) -> None:
    row = pq.read_table(result.path / "review.parquet").drop_columns(["held_for", "level", "content"])
    pq.write_table(
        row.append_column("split", pa.array(["train"] * len(row))), result.path / "records" / "00001.parquet"
    )


def with_a_manifest_to_fit(result: CorpusResult) -> None:
    put_among_the_records(result)
    found = manifest.read(_without_manifest_check(result.path), "corpus")
    manifest.write(result.path, kind="corpus", parents=found.parents, facts=found.facts)


def _without_manifest_check(path: Path) -> Path:
    """A copy whose manifest still names what it finds."""
    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    body = json.loads((copy / manifest.NAME).read_text())
    manifest.write_json(copy / manifest.NAME, body | {"files": {}})
    return copy


@pytest.mark.parametrize("put", [put_among_the_records, put_beside_the_records, with_a_manifest_to_fit])
def test_attempt_5_held_rows_put_into_a_finished_corpus_are_not_read(tmp_path: Path, home: Home, put) -> None:
    run = source(tmp_path)
    result = build(run, home)
    put(result)
    readers = {
        "training": lambda: list(training_records(result.path)),
        "examples": lambda: tokenise(result.path, tmp_path / "no-tokenizer-is-reached"),
        "loader": lambda: StreamingLoader(result.path, split="train", batch_size=1, shuffle_buffer=0, seed=1),
        **{form: lambda form=form: export(result.path, form) for form in FORMATS},
    }
    for name, read in readers.items():
        with pytest.raises(ManifestError, match=r"has changed|another size|not in the manifest|waits for review"):
            read()
            raise AssertionError(f"{name} read it")
    again = build(run, home)  # and the next build makes it anew
    open_corpus(again.path)
    assert GRAVE not in words(again)


def test_attempt_5_nor_a_file_of_which_a_byte_was_changed(tmp_path: Path) -> None:
    made = finished.snapshot(tmp_path, [finished.talk(i) for i in range(6)])
    open_corpus(made)
    file = made / "records" / "00000.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ManifestError, match="has changed since its manifest was written"):
        open_corpus(made)


def test_attempt_5_nor_tokens_put_among_the_examples(tmp_path: Path) -> None:
    made = finished.snapshot(tmp_path, [finished.talk(i) for i in range(6)])
    folder = finished.examples(made, [Example((1, 2), (0, 1), "psychology", "r1")] * 3)
    assert len(read_examples(folder, "train", ("psychology",)).domain_X)
    shutil.copy(folder / "00000.parquet", folder / "00001.parquet")
    with pytest.raises(ManifestError, match="is not in the manifest"):
        read_examples(folder, "train", ("psychology",))


def test_attempt_5_nor_annotations_edited_in_a_shard(tmp_path: Path, home: Home) -> None:
    run = source(tmp_path)
    before = build(run, home)
    (shard,) = shards.pool(run.corpus, home).iterdir()
    file = shard / "records.parquet"
    table, size = pq.read_table(file), file.stat().st_size
    for name, value in (("category", "x"), ("crisis_level", 0), ("crisis_classes", [])):
        at = table.schema.get_field_index(name)
        table = table.set_column(
            at, table.schema.field(at), pa.array([value] * len(table), table.schema.field(at).type)
        )
    pq.write_table(table, file, compression="zstd")
    with file.open("ab") as f:
        f.truncate(size) if file.stat().st_size > size else f.write(b"\0" * (size - file.stat().st_size))
    with ops(home) as c:
        c.execute(delete(HELD_LABEL))
    assert held(build(run, home)) == held(before)


def test_attempt_6_generated_rows_that_are_marked_wait_too(tmp_path: Path, home: Home) -> None:
    cell = GenerateConfig(
        provider="ollama", model="m", categories=("family_therapy_conflict",), difficulties=("very_high",), edge_cases=1
    )
    task = prepare("edge-cases", cell, protocol.load())
    said = {
        "client": question(*SCENES[5]),
        "therapist": answer(*SCENES[5]),
        "purpose": "a silence",
        "expected_challenges": ["loyalty"],
    }
    said["client"] += " " + question(*SCENES[6])
    made = task.judge(task.scenarios[0].id, task.scenarios[0].specifications[0], json.dumps(said))
    assert made.row["review"] == "required"
    result = build(source(tmp_path, [*rows()[2:5], made.row]), home)
    assert list(held(result).values()) == [[MARKED]]
    unmarked = {k: v for k, v in made.row.items() if k != "review"}
    assert held(build(source(tmp_path, [*rows()[2:5], unmarked]), home)) == held(result)


def test_attempt_7_no_export_holds_them(tmp_path: Path, home: Home) -> None:
    result = build(source(tmp_path, formats=["jsonl", "json", "csv", "messages"]), home)
    out = "".join(p.read_text() for p in (result.path / "exports").rglob("*.*"))
    assert next(iter(kept(result))) in out
    assert GRAVE not in out and not any(id in out for id in held(result))
    with pytest.raises(ManifestError):
        export(result.path / "review.parquet", "jsonl")
    path = next((result.path / "exports/jsonl").glob("train.jsonl"))
    path.write_text(path.read_text().replace("restless", "restlesz"))  # edited, of the same size
    export(result.path, "jsonl")
    assert "restlesz" not in path.read_text()
