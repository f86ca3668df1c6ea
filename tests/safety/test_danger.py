"""The second tier of triage: it asks about what no rule says, keeps within its level, and judges any text."""

from __future__ import annotations

import json
import time
from importlib.resources import files

import pytest

from pe_ray.safety import danger, triage
from pe_ray.safety.learn.signs import concepts, signs

STRANGE = [
    "",
    " ",
    "🙂",
    "\x00",
    "a\x00b",
    "x" * 1_000_000,
    "word " * 200_000,
    "no " * 300,
    "ok",
    "if (x < 3) { return y[0]; }",
    "Ich weiß nicht weiter.",
]
QUIET = ["We had soup and watched the rain.", "My cat is well.", "The bus was late again.", "I like your jumper."]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_any_text_is_judged_or_left(text: str) -> None:
    start = time.process_time()
    assert danger.read([text]) == [None]
    assert triage.assess(text).level == 0
    assert time.process_time() - start < 3


def test_a_sign_names_a_class_and_raises_to_two_at_most() -> None:
    lines = (files("pe_ray.safety.learn") / "data" / "crisis_danger.jsonl").read_text(encoding="utf-8").splitlines()
    learnt = [json.loads(line) for line in lines][::8]
    found = danger.read([row["text"] for row in learnt])
    sure = [(row, sign) for row, sign in zip(learnt, found, strict=True) if sign]
    assert len(sure) > len(learnt) / 2
    assert sum(row["class"] == sign.group for row, sign in sure) > 0.8 * len(sure)
    hit = triage._resembles(triage._Reading((), False, next(sign for _, sign in sure if sign.level == 2)), "x", [])
    assert hit is not None
    assert hit.level == 2


def test_quiet_messages_are_left_alone() -> None:
    assert danger.read(QUIET) == [None] * len(QUIET)


def test_what_the_model_alone_has_raised_is_not_remembered() -> None:
    weak = triage._Reading((), False, danger.Sign("child_abuse", 2))
    assert triage._remember([weak], triage.Sticky()) == triage.Sticky()
    judged = triage._judge(weak, "something", False, [], triage.Sticky())
    assert judged.level == 2
    assert judged.rules == ("model.danger@1",)
    assert judged.state.level == 0


def test_signs_gather_over_turns_and_few_do_not() -> None:
    weak = triage._Reading((), False, danger.Sign("elder_abuse", 0))
    calm = triage.CALM
    few = [weak] * (triage.SLOW_SIGNS - 2)
    assert triage._judge(weak, "x", False, few, triage.Sticky()).level == 0
    enough = [weak, calm, calm, weak, weak][: triage.SLOW_TURNS]
    assert triage._judge(weak, "x", False, enough, triage.Sticky()).rules == ("model.gathering@1",)
    assert triage._judge(calm, "x", False, enough, triage.Sticky()).level == 0


def test_words_that_a_context_explains_are_not_for_the_model() -> None:
    for text in ("I would never kill myself.", "I tried to kill myself twenty years ago and I am happy now."):
        assert triage.assess(text).level < 2


def test_a_long_text_is_read_in_pieces_of_whole_sentences() -> None:
    text = " ".join(f"This is sentence {n} of a long letter." for n in range(40))
    pieces = danger.pieces(text)
    assert len(pieces) > 5
    assert " ".join(pieces) == text
    assert all(piece.endswith(".") for piece in pieces)
    assert danger.pieces("Short. Text.") == ["Short. Text."]


def test_many_texts_are_read_as_each_by_itself() -> None:
    texts = [*QUIET, "He locks me in the cellar.", "I have not slept in six days and I am chosen."] * 3
    assert danger.read(texts) == [danger.read([text])[0] for text in texts]


def test_signs_say_what_a_sentence_is_about() -> None:
    found = signs("My uncle hits her. It rained.")
    assert "\x02hit+kin" in found
    assert "\x02kin" in found
    assert not any("rained" in mark for mark in found if mark.startswith("\x02"))
    assert concepts("strangled") == concepts("strangled")
    assert concepts("umbrella") == ()
