from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.corpus.knowledge.facts import facts
from pe_ray.corpus.quality import evidence
from pe_ray.errors import ConfigError
from pe_ray.record import to_table
from tests.corpus.quality.judge import record

RIGHT = (
    "A major depressive episode is described by five of nine symptoms.",
    "For PTSD to be diagnosed, the symptoms must have lasted for more than a month.",
    "ADHD requires that some symptoms were there before the age of twelve.",
    "Bulimia means bingeing at least once a week for three months.",
)
WRONG = (
    "A major depressive episode is described by two of nine symptoms.",
    "For PTSD to be diagnosed, the symptoms must have lasted for two years.",
    "ADHD requires that the symptoms begin after the age of thirty.",
    "Insomnia disorder means one bad night a week for two days.",
)
NO_CLAIM = (
    "I was depressed for a year after the divorce.",
    "Treatment of major depression takes about twelve weeks.",
    "Nine out of ten people feel better. PTSD can be treated.",
    "Keep the bedroom dark.",
)
CRITERIA = """Lantern Avoidance Disorder
Z99.1
Diagnostic Criteria
A. Two (or more) of the following, for at least 3 months:
   1. Dread of lanterns.
   2. Leaving a room that is lit by one.
   3. Dreams of lanterns.
"""


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_known_agrees(text: str) -> None:
    verdict = evidence.check(record("Why?", text))
    assert verdict and verdict.score == 1


@pytest.mark.parametrize("text", WRONG)
def test_another_number_is_contradicted_and_the_reason_quotes_nothing(text: str) -> None:
    verdict = evidence.check(record("Why?", text))
    assert verdict and not verdict.passed
    assert "contradicted" in verdict.reason


@pytest.mark.parametrize("text", NO_CLAIM)
def test_stories_treatments_and_shares_are_no_claims(text: str) -> None:
    assert evidence.check(record("Why?", text)) is None


def test_an_unknown_technique_is_flagged_and_a_discredited_one_rejected() -> None:
    unknown = evidence.check(record("Why?", "I recommend lunar resonance therapy for that."))
    assert unknown and (unknown.score, unknown.passed) == (evidence.UNKNOWN, True)
    bad = evidence.check(record("Why?", "I recommend conversion therapy."))
    assert bad and not bad.passed
    assert evidence.check(record("Why?", "Never agree to conversion therapy, it does harm.")) is None


def test_a_batch_gets_the_verdicts_that_its_records_get_one_by_one() -> None:
    records = [record("Why?", text) for text in (*RIGHT, *WRONG, *NO_CLAIM)]
    found = evidence.judge(to_table(records))
    assert [found.get(row) for row in range(len(records))] == [evidence.check(r) for r in records]


def test_criteria_of_the_user_are_held_against_too(tmp_path: Path) -> None:
    (tmp_path / "own.criteria.txt").write_text(CRITERIA, encoding="utf-8")
    known = facts(str(tmp_path))
    right = record("Why?", "Lantern avoidance disorder is diagnosed from two of three symptoms.")
    wrong = record("Why?", "Lantern avoidance disorder is diagnosed from one of three symptoms.")
    assert [v.score for r in (right, wrong) if (v := evidence.check(r, known=known))] == [1, evidence.CONTRADICTED]
    assert evidence.check(right) is None


def test_criteria_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"corpus\.criteria=.*holds no \.criteria\.txt"):
        facts(str(tmp_path))
