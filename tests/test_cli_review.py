"""`pe-ray corpus review` at the door: what it prints, what it refuses, what it leaves in the audit chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select, update

from pe_ray.corpus.pipeline import build
from pe_ray.security.audit import AUDIT
from pe_ray.store.db import open_database
from pe_ray.store.ops import MIGRATIONS
from pe_ray.store.paths import Home
from tests.corpus.conftest import no_plots
from tests.corpus.reviewing import GRAVE, REASON, held, kept, source
from tests.test_cli import run

__all__ = ["no_plots"]
REVIEW = ("corpus", "review")
AS_VEGA = ("--reviewer", "vega", "--reason", REASON)


@pytest.fixture
def waiting(tmp_path: Path, home: Home, no_plots: None) -> list[str]:
    """Ids of two held records of a finished corpus."""
    return list(held(build(source(tmp_path), home)))


def actions(home: Home) -> list[tuple[str, str]]:
    with open_database(home.database("ops"), MIGRATIONS).begin() as c:
        return [tuple(row) for row in c.execute(select(AUDIT.c.actor, AUDIT.c.action).order_by(AUDIT.c.seq))]


def test_the_queue_is_listed_without_a_word_of_it(capfd: pytest.CaptureFixture[str], waiting: list[str]) -> None:
    code, out, err = run(capfd, *REVIEW, "list")
    assert code == 0 and all(id[:12] in out for id in waiting)
    assert "suicidality" in out and "waiting" in out and "level" in out
    assert "2 records of the newest snapshots wait, oldest 0.00 days, median 0.00 days" in err
    told = json.loads(run(capfd, *REVIEW, "list", "--json")[1])
    assert told["waiting"] == 2 and {i["record_id"] for i in told["items"]} == set(waiting)
    assert GRAVE not in out + json.dumps(told) and "kill" not in json.dumps(told)
    assert run(capfd, *REVIEW, "list", "--state", "approved")[1] == ""


def test_a_record_is_shown_with_a_note_and_that_is_audited(
    capfd: pytest.CaptureFixture[str], home: Home, waiting: list[str]
) -> None:
    shown = [run(capfd, *REVIEW, "show", id[:8])[1] for id in waiting]
    assert all(text.startswith("Content note: this record is held for suicidality") for text in shown)
    assert any(GRAVE in text for text in shown)
    run(capfd, *REVIEW, "key", "vega")
    told = json.loads(run(capfd, *REVIEW, "show", waiting[0], "--reviewer", "vega", "--json")[1])
    assert told["content_note"] and told["messages"][0]["role"] == "user"
    assert actions(home) == [("local", "review.show")] * 2 + [("vega", "review.key"), ("vega", "review.show")]


def test_from_the_queue_into_the_corpus(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, home: Home, waiting: list[str]
) -> None:
    code, out, err = run(capfd, *REVIEW, "key", "vega")
    assert (code, out.strip()) == (0, str(home.keys / "reviewers" / "vega")) and "is on record" in err
    code, out, _ = run(capfd, *REVIEW, "approve", *(id[:10] for id in waiting), *AS_VEGA, "--json")
    assert code == 0 and [d["state"] for d in json.loads(out)["decisions"]] == ["approved"] * 2
    code, _, err = run(capfd, *REVIEW, "approve", waiting[0], *AS_VEGA)
    assert code == 2 and "is approved by vega already" in err
    assert set(waiting) <= set(kept(build(source(tmp_path), home)))
    assert "approved by review" in run(capfd, "corpus", "explain", waiting[0])[1]
    assert REASON in run(capfd, *REVIEW, "show", waiting[0])[1]
    assert "waiting" in run(capfd, *REVIEW, "withdraw", waiting[0], *AS_VEGA)[1]
    assert "rejected" in run(capfd, *REVIEW, "reject", waiting[0], *AS_VEGA)[1]
    code, out, _ = run(capfd, "audit", "verify")
    assert code == 0
    assert "review: 6 rows, the chain holds; 4 decisions" in out


def test_two_persons(capfd: pytest.CaptureFixture[str], tmp_path: Path, home: Home, no_plots: None) -> None:
    (first, _) = held(build(source(tmp_path, review={"two_person": True}), home))
    for name in ("vega", "moss"):
        run(capfd, *REVIEW, "key", name)
    assert "second; a second reviewer must approve it" in run(capfd, *REVIEW, "approve", first, *AS_VEGA)[1]
    assert first[:12] in run(capfd, *REVIEW, "list", "--state", "second")[1]
    assert "approved" in run(capfd, *REVIEW, "approve", first, "--reviewer", "moss", "--reason", REASON)[1]


def test_a_tampered_line_is_found_and_named(capfd: pytest.CaptureFixture[str], home: Home, waiting: list[str]) -> None:
    run(capfd, *REVIEW, "key", "vega")
    run(capfd, *REVIEW, "reject", waiting[0], *AS_VEGA)
    with open_database(home.database("ops"), MIGRATIONS).begin() as c:
        c.execute(update(AUDIT).where(AUDIT.c.seq == 2).values(action="review.approve"))
    code, out, _ = run(capfd, "audit", "verify")
    assert code == 1
    assert "review: 2 rows" not in out and "row 2: the row was changed" in out


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("approve", "{id}", "--reviewer", "vega", "--reason", "short"), "reason: has 5 characters"),
        (("approve", "{id}", "--reviewer", "vega"), "Missing option '--reason'"),
        (("approve", "{id}", "--reason", REASON), "Missing option '--reviewer'"),
        (("approve", "{id}", "--reviewer", "nobody", "--reason", REASON), "reviewer=nobody: has no key on record"),
        (("approve", "zzzzzz", *AS_VEGA), "record=zzzzzz: is not held"),
        (("show", "abc"), "record=abc: is not held"),
        (("list", "--state", "old"), "state=old: one of open"),
        (("show", "{id}", "--reviewer", "nobody"), "reviewer=nobody: has no key on record"),
        (("key", "Dr Vega"), "reviewer='Dr Vega'"),
    ],
)
def test_wrong_input_is_one_line(
    capfd: pytest.CaptureFixture[str], waiting: list[str], argv: tuple[str, ...], expected: str
) -> None:
    run(capfd, *REVIEW, "key", "vega")
    code, out, err = run(capfd, *REVIEW, *(a.format(id=waiting[0]) for a in argv))
    assert (code, out) == (2, "")
    assert expected in err and len(err.strip().splitlines()) == 1


def test_held_records_go_to_an_outside_tool_and_come_back_held(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, home: Home, waiting: list[str]
) -> None:
    code, out, _ = run(capfd, *REVIEW, "export", "--out", str(tmp_path / "out.jsonl"))
    assert code == 0
    lines = [json.loads(line) for line in Path(out.strip()).read_text().splitlines()]
    assert {line["record_id"] for line in lines} == set(waiting)
    assert all(line["review"] == "required" and line["messages"] and line["content"] for line in lines)
    assert Path(out.strip()).stat().st_mode & 0o777 == 0o600
    assert actions(home)[-1] == ("local", "review.export")
    code, _, err = run(capfd, *REVIEW, "export", "--out", str(tmp_path / "out.jsonl"))
    assert code == 2 and "is there already" in err
    code, out, err = run(capfd, *REVIEW, "export", "--dry-run")
    assert (code, out) == (0, "") and "would write 2 records" in err and len(actions(home)) == 2


def test_what_is_signed_is_what_was_shown(capfd: pytest.CaptureFixture[str], home: Home, waiting: list[str]) -> None:
    run(capfd, *REVIEW, "key", "vega")
    (file,) = (home.root / "corpora").glob("*/*/review.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)
    for argv in (("show", waiting[0]), ("approve", waiting[0], *AS_VEGA)):
        code, out, err = run(capfd, *REVIEW, *argv)
        assert (code, out) == (1, "") and "has changed since its manifest was written" in err, argv
