from __future__ import annotations

import math

import pytest

from pe_ray.corpus.quality import words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sleeping", "sleep"),
        ("worries", "worry"),
        ("angrily", "angry"),
        ("depression", "depressed"),
        ("dreams", "dream"),
    ],
)
def test_forms_of_a_word_share_their_stem(one: str, other: str) -> None:
    assert words.stem(one) == words.stem(other)


def test_function_words_count_nothing_and_common_talk_little() -> None:
    bag = words.content("I would have been the one who feels like the piano")
    assert bag == {words.stem("feels"): 0.25, words.stem("like"): 0.25, "piano": 1.0}


def test_repeats_count_by_their_logarithm() -> None:
    assert words.content("piano piano piano") == {"piano": pytest.approx(1 + math.log(3))}
