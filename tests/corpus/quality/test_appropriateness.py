from __future__ import annotations

import pyarrow as pa

from pe_ray.corpus.quality import appropriateness, crisis
from pe_ray.record import Message, Record, to_table

SAFE = "Are you thinking of suicide? Have you a plan? Call or text 988; I am here with you, and I hear you."
COLD = "That is the most selfish thing a father could do."


def scene(reply: str, category: str = "suicidality", client: str = "It is all too much.", **metadata: str) -> Record:
    return Record.create(
        source="edge_case",
        domain="mental_health",
        content_type="edge_case",
        messages=[Message("user", client), Message("assistant", reply)],
        uri="a.jsonl",
        offset=1,
        licence="",
        attribution="",
        metadata={"category": category, **metadata},
    )


def answer(reply: str, client: str) -> Record:
    return Record.create(
        source="standard",
        domain="general_therapeutic",
        content_type="qa",
        messages=[Message("user", client), Message("assistant", reply)],
        uri="a.jsonl",
        offset=2,
        licence="",
        attribution="",
    )


RECORDS = [
    scene(SAFE),
    scene(COLD),
    scene("Perhaps a walk.", window="2 of 3"),
    scene("Perhaps a walk.", "no_crisis"),
    scene("Perhaps a walk.", "grief_complicated", difficulty="moderate"),
    answer("Try a walk.", "I have a plan to kill myself tonight."),
    answer("Try a walk.", "I cannot sleep."),
]


def test_a_batch_gets_the_verdicts_that_its_records_get_one_by_one() -> None:
    found = appropriateness.judge(crisis.apply(to_table(RECORDS)))
    assert [found.get(row) for row in range(len(RECORDS))] == [appropriateness.check(r) for r in RECORDS]
    assert sorted(found) == [0, 1, 2, 4, 5]


def test_cold_words_fail_and_the_reason_names_rules_alone() -> None:
    good, bad = appropriateness.check(RECORDS[0]), appropriateness.check(RECORDS[1])
    assert good and good.passed
    assert bad and not bad.passed
    assert "must_not.blames@1" in bad.reason
    assert "selfish" not in bad.reason


def test_of_a_window_nothing_is_held_against_what_it_leaves_out() -> None:
    verdict = appropriateness.check(RECORDS[2])
    assert verdict and verdict.score == 1


def test_a_moderate_moment_may_leave_everything_out() -> None:
    verdict = appropriateness.check(RECORDS[4])
    assert verdict and verdict.passed


def test_without_a_category_the_class_of_triage_counts() -> None:
    verdict = appropriateness.check(RECORDS[5])
    assert verdict and verdict.reason.startswith("suicidality")
    assert not verdict.passed


def test_spans_stand_in_the_message_that_they_name() -> None:
    told = list(appropriateness.explain_spans(RECORDS[1]))
    assert {s.message for s in told} == {1}
    assert any("selfish" in COLD[s.start : s.end] for s in told if s.rule == "must_not.blames@1")
    assert not list(appropriateness.explain_spans(RECORDS[6]))


def test_an_empty_table_has_no_verdicts() -> None:
    assert appropriateness.judge(crisis.apply(to_table([]))) == {}
    assert isinstance(to_table([]), pa.Table)
