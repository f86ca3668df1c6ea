from __future__ import annotations

import random

import pyarrow as pa
import pytest

from pe_ray.corpus.quality import bias, checks, coherence, generic
from pe_ray.record import RECORD_SCHEMA, Message, Record, from_table, to_table
from tests.corpus.quality.judge import record

SAID = (
    *("I lie awake", "my boss shouts", "money is short", "women are too emotional to lead", "old people cannot learn"),
    *(
        "I'm sorry to hear that",
        "I’m really sorry you’re going through this",
        "You are not alone",
        "Everyone is different",
    ),
    *(
        "please consider seeking professional help",
        "it depends",
        "Those people are always late",
        "she is gay, so she will",
    ),
    *(
        "“Women are emotional.”",
        '"men never listen. They',
        'do not"',
        "‘girls are weak’",
        "the stereotype that jews are greedy",
    ),
    *(
        "w o m e n are weak",
        "w.o.m.e.n are weak",
        "w-o-m-e-n are weak",
        "wom\u200ben are weak",
        "W0men are weak",
        "Ｗomen are stupid",
        "don't",
        "o'clock",
        "\x01",
        "K\u212aind",
    ),
    *(
        "try to sleep before midnight",
        "tell your manager",
        "a budget for the week",
        "",
        "e.g. 3.5",
        "café",
        "你好",
        "İ",
        "ſorry",
    ),
    *("it\u017f okay to feel this way", "I HOPE THIS HELPS", "hang in there", "Kevin", "\u00a0", "İ", "ſorry"),
)
DOMAINS = ("general_therapeutic", "bias_detection", "mental_health")


def talk(draw: random.Random) -> Record:
    def text() -> str:
        return draw.choice([" ", ". ", "\n", "\n\n", ", ", "! "]).join(draw.choices(SAID, k=draw.randint(1, 9)))

    roles = draw.choice([("user", "assistant"), ("user", "assistant", "user", "assistant"), ("assistant",), ("user",)])
    said = [Message(role, text()) for role in roles]  # type: ignore[arg-type]
    return record("x", "y", draw.choice(DOMAINS)).with_messages(said)


def test_a_batch_gets_the_verdicts_that_its_records_get_one_by_one() -> None:
    draw = random.Random(7)
    records = [talk(draw) for _ in range(300)]
    table = to_table(records)
    done = checks.apply(table)
    one_by_one = [[v for v in (c.check(r) for c in checks.CHECKS) if v is not None] for r in from_table(table)]
    wanted = pa.array(
        [[{n: getattr(v, n) for n in v.__slots__} for v in row] for row in one_by_one], done["verdicts"].type
    )
    assert done["verdicts"].to_pylist() == wanted.to_pylist()
    assert done.schema == table.schema
    assert done.drop_columns("verdicts") == table.drop_columns("verdicts")
    reasons = {v["reason"] for row in done["verdicts"].to_pylist() for v in row if v["check"] == "bias"}
    assert len(reasons) > 5  # the records are no easy ones


def test_a_verdict_does_not_depend_on_the_batch() -> None:
    draw = random.Random(8)
    table = to_table([talk(draw) for _ in range(60)])
    whole = checks.apply(table)["verdicts"].to_pylist()
    pieces = [checks.apply(table.slice(i, 7))["verdicts"].to_pylist() for i in range(0, 60, 7)]
    assert [row for piece in pieces for row in piece] == whole
    order = draw.sample(range(60), 60)
    assert checks.apply(table.take(pa.array(order)))["verdicts"].to_pylist() == [whole[i] for i in order]


def test_verdicts_that_are_there_stay_in_front() -> None:
    table = to_table([record("Why do I lie awake at night?", "Keep the bedroom dark."), record("a", "b")])
    old = [[{"check": "old", "score": 1.0, "passed": True, "reason": ""}], []]
    at = RECORD_SCHEMA.get_field_index("verdicts")
    done = checks.apply(table.set_column(at, RECORD_SCHEMA.field(at), pa.array(old, RECORD_SCHEMA.field(at).type)))
    names = [[v["check"] for v in row] for row in done["verdicts"].to_pylist()]
    assert names == [["old", "coherence", "generic", "bias"], ["coherence", "generic", "bias"]]


def test_an_empty_table_keeps_its_schema() -> None:
    assert checks.apply(to_table([])) == to_table([])


def test_names_are_unique_and_each_check_is_run_in_one_of_two_ways() -> None:
    assert len(set(checks.NAMES)) == len(checks.CHECKS) + len(checks.SECOND)
    assert checks.SINGLE.keys() <= set(checks.NAMES)
    for check in checks.CHECKS:
        assert (check.NAME in checks.SINGLE) != hasattr(check, "judge")


@pytest.mark.parametrize("check", [c for c in checks.CHECKS if c.NAME in checks.SINGLE], ids=lambda c: c.NAME)
def test_a_check_says_nothing_of_a_content_type_that_it_is_not_shown(check) -> None:
    assert record("x", "y").content_type not in checks.SINGLE[check.NAME]
    assert check.check(record("Um, I mean, um, [unintelligible] yes", "And then, um, what?")) is None


def test_the_quick_checks_are_those_with_a_slow_form() -> None:
    for check in (coherence, generic, bias):
        assert callable(check.check)
        assert callable(check.judge)
