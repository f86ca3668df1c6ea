from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from pe_ray.config import CheckConfig
from pe_ray.corpus.quality import checks, coherence
from pe_ray.record import to_table
from tests.corpus.quality.judge import record

PAIRS = [
    (
        "I lie awake until three and then oversleep, and my boss has noticed.",
        "Get up at the same time even after a night awake, and tell your boss what you are doing about your sleep.",
    ),
    (
        "My father died in March and his garden is going to seed; I cannot bring myself to weed it.",
        "Grief can sit in a garden for a long while. Would weeding one bed feel like caring for him, or losing him?",
    ),
    (
        "We argue about money every payday and then my wife does not speak to me for days.",
        "Could you and your wife pick an hour before payday to look at the budget together, while nobody is angry?",
    ),
    (
        "My daughter screams when I drop her at nursery and I walk to work in tears.",
        "Short, calm goodbyes help most children settle. Ask the nursery how she is ten minutes after you have gone.",
    ),
]


def test_an_answer_suits_its_own_question_better_than_any_other() -> None:
    for i, (question, answer) in enumerate(PAIRS):
        own = coherence.check(record(question, answer))
        others = [coherence.check(record(question, a)).score for j, (_, a) in enumerate(PAIRS) if j != i]
        assert own.passed
        assert own.score > max(others)


def test_an_answer_about_something_else_is_rejected() -> None:
    verdict = coherence.check(record(PAIRS[0][0], "Water the orchids weekly, and repot them in spring in fresh bark."))
    assert not verdict.passed
    assert verdict.score < CheckConfig().coherence_min == coherence.DEFAULT_MIN
    assert verdict.reason.startswith("0 shared stems, words 0.00, latent ")


def test_too_few_words_cannot_be_judged() -> None:
    assert coherence.check(record("And then?", PAIRS[0][1])).score == 0.5
    assert not coherence.check(record("And then?", PAIRS[0][1]), minimum=0.6).passed


@pytest.mark.parametrize(
    "answer",
    [
        "Ich weiss heute nicht mehr, was ich noch machen soll mit meinem Leben.",
        "你好吗，今天天气很好。",
        "Да, конечно.",
        "",
        "?!",
    ],
)
def test_another_language_cannot_be_judged(answer: str) -> None:
    assert coherence.check(record(PAIRS[0][0], answer)).reason == "too few known words to judge"


def test_what_cannot_be_judged_passes_at_the_default() -> None:
    assert coherence.DEFAULT_MIN < coherence.UNJUDGED


def test_a_very_long_text_is_judged_in_little_time() -> None:
    start = time.process_time()
    assert 0 <= coherence.check(record(PAIRS[1][0], "his garden is going to seed. " * 40_000)).score <= 1
    assert time.process_time() - start < 5


def test_a_reason_holds_figures_and_no_word_of_the_text() -> None:
    reason = coherence.check(record(*PAIRS[2])).reason
    assert re.fullmatch(r"\d+ shared stems, words [\d.]+, latent -?[\d.]+, usual [\d.]+", reason)


def test_knowledge_whose_question_was_formed_for_it_is_not_judged() -> None:
    told = {"question": "contextual"}
    formed = replace(record(PAIRS[0][0], PAIRS[1][1]), content_type="knowledge", metadata=told)
    assert coherence.check(formed) is None
    assert coherence.check(replace(formed, metadata={"question": "extracted"})) is not None
    (verdicts,) = checks.apply(to_table([formed]))["verdicts"].to_pylist()
    assert "coherence" not in {v["check"] for v in verdicts}
