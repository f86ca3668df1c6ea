from __future__ import annotations

import time

import pytest

from pe_ray.config import CheckConfig
from pe_ray.corpus.quality import generic
from tests.corpus.quality.judge import record

QUESTION = "Since we moved to the coast I lie awake listening for the neighbour's generator."


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that. You are not alone. Please consider talking to a therapist, who can help you.",
        "Everyone is different. It really depends. Communication is key, and remember that things will get better.",
        "Thank you for sharing. That must be hard. I understand how you feel. Stay strong!",
        "What was that like for you?",
        "",
    ],
)
def test_an_answer_that_could_stand_anywhere_is_rejected(answer: str) -> None:
    verdict = generic.check(record(QUESTION, answer))
    assert not verdict.passed
    assert verdict.score < CheckConfig().generic_min == generic.DEFAULT_MIN


@pytest.mark.parametrize(
    "answer",
    [
        "Ask the neighbour when the generator runs, and try earplugs and a fan until you know.",
        "I'm sorry to hear that. Does the generator run all night, or does its silence wake you too?",
        "Generator.",
    ],
)
def test_an_answer_to_this_question_passes(answer: str) -> None:
    assert generic.check(record(QUESTION, answer)).passed


def test_words_of_the_question_count_for_the_answer() -> None:
    answer = "Tell me about the generator."
    assert generic.check(record(QUESTION, answer)).score > generic.check(record("Why?", answer)).score


def test_a_long_answer_takes_little_time() -> None:
    start = time.process_time()
    generic.check(record(QUESTION, "i am so sorry to hear talk to a " * 2000))
    assert time.process_time() - start < 2
