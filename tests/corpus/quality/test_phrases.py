from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pe_ray.corpus.quality.phrases import alternation, plain

PHRASES = ["sad", "sadness", "let down", "let", "worr*", "can't", "can't stand"]


def test_the_longest_phrase_of_whole_words_is_found() -> None:
    said = "sadness, let down; let\nlet us worry: worries can't stand sadly, outlet"
    assert alternation(PHRASES).findall(said) == [
        "sadness",
        "let down",
        "let",
        "let",
        "worry",
        "worries",
        "can't stand",
    ]


def test_a_star_ends_with_the_word_and_is_bounded() -> None:
    assert alternation(["worr*"]).findall("worr " + "worr" + "y" * 30) == ["worr"]


@given(
    st.lists(st.sampled_from(["sad", "sadness", "let", "down", "worry", "can't", "stand", "x", "worrying"]), max_size=8)
)
def test_the_tree_finds_what_a_plain_alternation_of_the_longest_first_finds(words: list[str]) -> None:
    longest = sorted(PHRASES, key=lambda p: (-len(p), p))
    slow = re.compile(r"\b(?:" + "|".join(re.escape(p).replace(r"\*", r"\w{0,20}") for p in longest) + r")\b")
    said = " ".join(words)
    assert alternation(PHRASES).findall(said) == slow.findall(said)


@given(st.text())
def test_plain_text_keeps_its_places(text: str) -> None:
    assert len(plain(text)) == len(text)


def test_apostrophes_and_capitals_are_plain() -> None:
    assert plain("I’M İN") == "i'm İn"
