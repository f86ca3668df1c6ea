from __future__ import annotations

import pytest

from pe_ray.config import CheckConfig
from pe_ray.corpus.quality import prejudice, spans
from pe_ray.record import to_table
from tests.corpus.quality.judge import record

HARSH = "Immigrants are lazy and only come here to steal."
CALM = "You could write down what you would like to say to her."


def test_a_harsh_sentence_is_told_and_removes_nothing() -> None:
    verdict = prejudice.check(record("What do you think?", f"{CALM} {HARSH}"))
    assert verdict is not None
    assert verdict.score < 0.2
    assert verdict.passed
    assert CheckConfig().prejudice_min == prejudice.DEFAULT_MIN == 0
    assert verdict.reason.startswith(prejudice.RULE)
    assert "lazy" not in verdict.reason


def test_a_team_may_reject_by_it() -> None:
    verdict = prejudice.check(record("What do you think?", HARSH), minimum=0.3)
    assert verdict is not None
    assert not verdict.passed


@pytest.mark.parametrize(
    ("asked", "answer"), [(HARSH, CALM), ("Is this fair?", f"No, “{HARSH}” is how people talk who have met nobody.")]
)
def test_what_is_not_the_assistants_own_is_not_judged(asked: str, answer: str) -> None:
    assert prejudice.check(record(asked, answer)) is None


def test_a_table_gets_the_verdicts_of_its_records() -> None:
    records = [record("Why?", text) for text in (CALM, f"{CALM} {HARSH}", "Women in my group spoke of it too.")]
    found = prejudice.judge(to_table(records))
    assert sorted(found) == [1, 2]
    assert found == {n: prejudice.check(records[n]) for n in found}


def test_the_place_is_told() -> None:
    told = [p for p in spans.places(record("Why?", f"{CALM} {HARSH}")) if p.check == prejudice.NAME]
    assert [(p.rule, p.message) for p in told] == [(prejudice.RULE, 1)]
