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


def test_words_of_one_field_meet() -> None:
    shared = words.features("I lie awake").keys() & words.features("Keep the bedroom dark").keys()
    assert shared == {"field:sleep"}


def test_the_cosine_is_symmetric_between_0_and_1() -> None:
    a, b = words.features("my boss shouted about the deadline"), words.features("the manager and the deadline")
    assert words.cosine(a, b) == words.cosine(b, a)
    assert 0 < words.cosine(a, b) < 1
    assert words.cosine(a, a) == pytest.approx(1)
    assert words.cosine(a, {}) == 0
