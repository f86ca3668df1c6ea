from __future__ import annotations

import pytest

from pe_ray.config import CheckConfig
from pe_ray.corpus.quality import crisis
from pe_ray.corpus.sources.edge_case import CATEGORIES
from pe_ray.record import Message, Record, to_table
from pe_ray.safety.rules import TRIAGE_FILES
from tests.corpus.quality.judge import record

DANGER = "I have the pills here and I am going to kill myself tonight."


def test_the_classes_and_categories_that_are_always_held_exist() -> None:
    assert crisis.HELD_CLASSES.keys() <= set(TRIAGE_FILES)
    assert crisis.HELD_CATEGORIES.keys() <= CATEGORIES.keys()
    assert set(crisis.HELD_CLASSES.values()) == set(crisis.HELD_CATEGORIES.values())
    assert CheckConfig().review_level == crisis.DEFAULT_REVIEW_LEVEL


def test_a_message_in_crisis_waits_for_review() -> None:
    verdict = crisis.check(record(DANGER, "Are you safe now? Please call 988."))
    assert not verdict.passed
    assert verdict.score <= 0.25
    assert "@" in verdict.reason
    assert "pills" not in verdict.reason


def test_an_ordinary_message_does_not() -> None:
    verdict = crisis.check(record("My boss moved my desk beside the printer.", "What is it like there?"))
    assert verdict == crisis.Verdict("crisis", 1.0, True, "")


def test_the_topic_does_not_matter_the_text_does() -> None:
    assert not crisis.check(record(DANGER, "Call 988.", topics="parenting")).passed


def test_a_category_is_held_whatever_the_text() -> None:
    assert not crisis.check(record("The garden is quiet.", "What do you hear?", category="suicidality")).passed
    assert crisis.check(record("The garden is quiet.", "What do you hear?", category="therapy_resistance")).passed


def test_what_was_asked_is_heard_with_the_answer() -> None:
    asked = [
        Message("user", "It has been a long winter."),
        Message("assistant", "Are you thinking of killing yourself?"),
        Message("user", "Yes."),
        Message("assistant", "Thank you for telling me. Are you safe right now?"),
    ]
    assert not crisis.check(record("x", "y").with_messages(asked)).passed


def test_a_record_in_which_suicide_is_asked_about_waits_for_review() -> None:
    verdict = crisis.check(record("The house is so quiet now.", "I will ask plainly: are you thinking of suicide?"))
    assert not verdict.passed
    assert crisis.ASKED_RULE in verdict.reason


@pytest.mark.parametrize(
    ("level", "classes", "category", "review_level", "reasons"),
    [
        (0, [], None, 2, []),
        (1, [], None, 2, []),
        (2, [], None, 2, ["level 2"]),
        (2, ["psychosis_mania"], None, 3, []),
        (3, ["psychosis_mania"], None, 3, ["psychosis_mania"]),
        (1, ["suicide_self_harm"], None, 4, ["suicidality"]),
        (1, ["harm_to_others", "child_abuse"], None, 4, ["homicidal ideation", "child abuse"]),
        (0, [], "child_abuse_reporting", 4, ["child abuse"]),
        (4, ["suicide_self_harm", "overdose_withdrawal"], "suicidality", 2, ["suicidality", "overdose_withdrawal"]),
    ],
)
def test_why_a_record_is_held(level: int, classes: list, category: str, review_level: int, reasons: list) -> None:
    assert crisis.held_for(level, classes, category, review_level) == reasons


def test_a_table_gets_the_finding_and_the_verdict() -> None:
    records: list[Record] = [record("The bus was late.", "Again?"), record(DANGER, "Call 988.")]
    table = crisis.apply(to_table(records))
    assert table["crisis_level"].to_pylist()[0] == 0
    assert table["crisis_level"].to_pylist()[1] >= 3
    assert table["crisis_classes"].to_pylist() == [[], ["suicide_self_harm"]]
    assert [[v["check"] for v in row] for row in table["verdicts"].to_pylist()] == [["crisis"], ["crisis"]]
    assert crisis.apply(to_table([])).schema == table.schema
