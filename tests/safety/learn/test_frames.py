from __future__ import annotations

import numpy as np
import pytest

from pe_ray.safety.learn import load
from pe_ray.safety.learn.frames import grouped
from pe_ray.safety.learn.marks import MARK

ODD = ["", " ", "\x00", "😀", "\ud800", "Ελληνικά", "women " * 5000, '"""', "?!?!"]


def marks(text: str) -> set[str]:
    return {t.removeprefix(MARK) for t in grouped(text) if t.startswith(MARK)}


def test_a_sentence_shows_its_frame() -> None:
    assert "#G=b" in marks("Women are vile.")
    assert "#Nsb" not in marks("Women are vile.")
    assert {"#ING", "#G=b"} <= marks("I do not think women are vile.")
    assert {"#QG=", "#=bQ"} <= marks('"Women are vile" is what he wrote.')


def test_words_of_one_heading_are_one() -> None:
    assert {m for m in marks("Jews are maggots") if m[0] == "#"} == {
        m for m in marks("Muslims are vermin") if m[0] == "#"
    }


def test_a_text_about_no_group_has_no_marks() -> None:
    assert not marks("This printer is a stupid piece of junk.")


def test_the_next_sentence_goes_on_about_the_group() -> None:
    assert "#Ga" not in marks("I met Muslims. The wasps were a plague.")
    assert ">vermin" in marks("I met Muslims. They were vermin.")


@pytest.mark.parametrize("text", ODD)
def test_any_text_is_read(text: str) -> None:
    assert isinstance(grouped(text), list)


def test_the_model_that_ships_tells_a_statement_from_its_refusal() -> None:
    judge = load("bias")
    unfair = ["Immigrants are filthy parasites.", "We should deport all Muslims.", "Gay people make me sick."]
    fair = [
        "Calling immigrants parasites is cruel.",
        "Nobody should deport Muslims for what they believe.",
        "It makes me sick how gay people are treated.",
        "My sister is a nurse and she is proud of it.",
        "I hate mushrooms and late trains.",
    ]
    p = judge.probabilities([*unfair, *fair])[:, 0]
    assert p[: len(unfair)].min() > 0.5 > p[len(unfair) :].max()


def test_the_model_that_ships_does_not_see_which_group_is_meant() -> None:
    judge = load("bias")
    texts = [f"{who} are lazy, and I told {her} so." for who, her in (("Women", "her"), ("Muslims", "him"))]
    p = judge.probabilities(texts)[:, 0]
    assert np.ptp(p) < 1e-6
    assert judge.judge([""])[0].reason == "empty"
