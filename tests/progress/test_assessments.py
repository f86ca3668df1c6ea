"""Questionnaires are scored by the book, kept sealed, and an alarming answer reaches the journal."""

from __future__ import annotations

import pytest

from pe_ray.errors import UserError
from pe_ray.progress.assessments import series
from pe_ray.progress.instruments import INSTRUMENTS, find
from pe_ray.progress.journal import Journal
from tests.progress.conftest import Clock


@pytest.mark.parametrize(
    ("instrument", "total", "band"),
    [
        ("phq9", 0, "minimal"),
        ("phq9", 4, "minimal"),
        ("phq9", 5, "mild"),
        ("phq9", 10, "moderate"),
        ("phq9", 15, "moderately severe"),
        ("phq9", 20, "severe"),
        ("phq9", 27, "severe"),
        ("gad7", 4, "minimal"),
        ("gad7", 9, "mild"),
        ("gad7", 14, "moderate"),
        ("gad7", 15, "severe"),
    ],
)
def test_totals_fall_into_the_published_bands(instrument: str, total: int, band: str) -> None:
    scale = find(instrument)
    items = [min(3, max(0, total - 3 * i)) for i in range(scale.num_items)]
    assert scale.score(items) == total
    assert scale.band(total) == band


@pytest.mark.parametrize(
    ("instrument", "items", "expected"),
    [
        ("phq9", [0] * 8, "8 answers; phq9 has 9"),
        ("gad7", [0] * 9, "9 answers; gad7 has 7"),
        ("phq9", [0] * 8 + [4], r"items\[9\]: an answer to phq9 is a whole number from 0 to 3"),
        ("phq9", [-1] + [0] * 8, r"items\[1\]"),
        ("gad7", [True] + [0] * 6, r"items\[1\]"),
        ("gad7", [1.0] + [0] * 6, r"items\[1\]"),
        ("mmpi", [0], "unknown; known are phq9, gad7"),
    ],
)
def test_answers_that_do_not_fit_are_named_by_place(journal: Journal, instrument, items, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        journal.assessments.add("ada", instrument, items)


def test_every_figure_has_a_source() -> None:
    for scale in INSTRUMENTS.values():
        assert {"bands", "caseness", "reliable_change", "sem"} <= set(scale.sources)
        assert scale.bands[0][0] == 0
        assert scale.max_total == {"phq9": 27, "gad7": 21}[scale.id]


def test_an_answer_about_death_is_journalled_as_a_crisis(journal: Journal) -> None:
    quiet = journal.assessments.add("ada", "phq9", [3] * 8 + [0])
    assert quiet.attention == ()
    assert journal.items("ada")[0] == []
    scored = journal.assessments.add("ada", "phq9", [0] * 8 + [1])
    assert (scored.total, scored.band, scored.attention) == (1, "minimal", ("phq9-item9@1",))
    (event,) = journal.items("ada")[0]
    assert (event["kind"], event["safety"]) == ("crisis", {"level": 2, "rules": ["phq9-item9@1"]})


def test_what_is_kept_comes_back_in_order(journal: Journal, clock: Clock) -> None:
    journal.assessments.add("ada", "gad7", [1] * 7, at=clock.at)
    journal.assessments.add("ada", "gad7", [2] * 7, at=clock.back(7), source="clinician")
    assert [(a["total"], a["source"], a["items"]) for a in journal.assessments.list("ada")] == [
        (14, "clinician", [2] * 7),
        (7, "self", [1] * 7),
    ]


def test_self_report_and_clinician_rating_stay_apart_and_the_window_holds(journal: Journal, clock: Clock) -> None:
    for week in range(6):
        journal.assessments.add("ada", "phq9", [min(3, week)] * 9, at=clock.back(7 * week))
        journal.assessments.add("ada", "phq9", [2] * 9, at=clock.back(7 * week), source="clinician")
    journal.assessments.add("ada", "phq9", [3] * 9, at=clock.back(400))
    found = series(journal.assessments.unaudited("ada"), clock.at, 365)
    assert [(s["instrument"], s["source"], len(s["points"])) for s in found] == [
        ("phq9", "self", 6),
        ("phq9", "clinician", 6),
    ]
    assert [s["trend"]["label"] for s in found] == ["improving", "stable"]
    assert [s["since_baseline"] for s in found] == ["recovered", "unchanged"]
