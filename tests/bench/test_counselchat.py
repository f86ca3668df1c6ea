"""Precision and recall on pairs of answers: on a few of our own, and on the public ones where they are at hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pe_ray.bench import counselchat
from pe_ray.corpus.reading import expand
from pe_ray.evaluate import duplicates

ANSWER = "Grief has no timetable. Keep one chair free for it at the table, and let the others be for guests."
OTHER = "Write down what you would have said to her, then read it aloud in a room where nobody can answer."


def _release(path: Path, answers: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["questionID", "answerText"], *([n, a] for n, a in enumerate(answers))])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PE_RAY_DATA", str(tmp_path))
    return tmp_path


def test_clean_answers_are_brought_together_and_raw_ones_are_not(data: Path) -> None:
    page = "<p>" + ANSWER.replace(". ", ".</p><p>").replace("table,", "table,&nbsp;") + "</p>"
    _release(data / "standard/counselchat/counselchat_2020.csv", [ANSWER, OTHER])
    _release(data / "standard/counselchat/counselchat_2022.csv", ["", page, f"{OTHER} Then burn it."])
    pairs = [(0, 1, 1), (1, 2, 1), (0, 2, 0), (1, 1, 0), (0, 0, 0)]
    labels = data / "labels/counselchat/dedup_pairs.jsonl"
    labels.parent.mkdir(parents=True)
    rows = [{"row_2020": a, "row_2022": b, "same_answer": same} for a, b, same in pairs]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = {row.name: row.value for row in counselchat.run()}
    assert found["counselchat.dedup_precision"] == found["counselchat.dedup_recall"] == 1
    assert found["counselchat.cleaned.equal.dedup_recall"] == 0.5
    assert found["counselchat.raw.equal.dedup_recall"] == 0
    assert found["counselchat.pairs"] == 5


def test_without_the_data_it_says_so(data: Path) -> None:
    rows = counselchat.run()
    assert [row.name for row in rows] == ["counselchat.dedup_precision", "counselchat.dedup_recall"]
    assert all(row.value is None and row.ok is None and "PE_RAY_DATA" in str(row.reason) for row in rows)


def test_the_public_releases_meet_the_bounds() -> None:
    if not expand(duplicates.PAIRS).is_file():
        pytest.skip("PE_RAY_DATA is absent")
    found = {row.name: row for row in counselchat.run()}
    assert found["counselchat.dedup_precision"].ok
    assert found["counselchat.dedup_recall"].ok
    assert found["counselchat.raw.near.dedup_recall"].value < found["counselchat.dedup_recall"].value
