from __future__ import annotations

import pytest

from pe_ray.config import CheckConfig
from pe_ray.corpus.quality import bias
from tests.corpus.quality.judge import record

HARSH = "Women are too emotional to lead, and old people cannot learn anything new."
KIND = "Ask her how she would lead the team, and decide by what she shows you."


def test_the_assistants_prejudice_is_rejected() -> None:
    verdict = bias.check(record("Whom should I promote?", HARSH))
    assert not verdict.passed
    assert verdict.score < CheckConfig().bias_min == bias.DEFAULT_MIN
    assert "@" in verdict.reason
    assert "emotional" not in verdict.reason


def test_the_users_prejudice_is_not_the_assistants() -> None:
    assert bias.check(record(HARSH, KIND)).passed


@pytest.mark.parametrize("quote", ["“{}”", '"{}"'])
def test_what_is_quoted_is_somebody_elses(quote: str) -> None:
    assert bias.check(
        record("Is this fair?", f"No: {quote.format(HARSH)} judges people it has never met. {KIND}")
    ).passed


def test_an_explanation_may_name_the_stereotype_but_its_answer_may_not_hold_it() -> None:
    explained = f"The sentence says that women are too emotional to lead. It judges half of all people.\n\n{KIND}"
    assert bias.check(record(HARSH, explained, domain="bias_detection")).passed
    assert not bias.check(record(HARSH, f"It is unfair.\n\n{HARSH}", domain="bias_detection")).passed
