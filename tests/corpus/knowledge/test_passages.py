from __future__ import annotations

import pytest

from pe_ray.corpus.knowledge.passages import passages, sentences


def words(num: int, name: str = "w") -> str:
    return " ".join(f"{name}{i}" for i in range(num))


def sizes(paragraphs: list[str]) -> list[int]:
    return [len(text.split()) for text, _ in passages(paragraphs)]


def test_paragraphs_are_packed_up_to_the_bound() -> None:
    assert sizes([words(150)] * 4) == [300, 300]
    assert sizes([words(10)]) == [10]
    assert sizes([]) == []
    assert sizes(["", "  "]) == []


def test_a_short_rest_takes_a_paragraph_from_the_passage_before() -> None:
    assert sizes([words(200), words(100), words(80), words(30)]) == [300, 110]


def test_a_long_paragraph_is_cut_at_sentences() -> None:
    long = " ".join(f"Sentence {i} {words(18)}." for i in range(50))
    found = passages([long])
    assert all(len(text.split()) <= 400 for text, _ in found)
    assert all(text.endswith(".") for text, _ in found)
    assert " ".join(text for text, _ in found) == long


def test_words_without_sentences_are_cut_all_the_same_and_none_is_lost() -> None:
    long = words(1001)
    found = passages([long])
    assert [len(text.split()) for text, _ in found] == [400, 400, 201]
    assert " ".join(text for text, _ in found) == long


def test_a_passage_knows_the_paragraph_that_it_begins_in() -> None:
    assert [first for _, first in passages([words(300), words(300), words(900)])] == [0, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("text", "num"),
    [
        ("One. Two! Three?", 3),
        ("Dr. Vale met B. F. Ode, e.g. Here.", 1),
        ('She said "no." He left.', 2),
        ("no capital. so no end", 1),
        ("", 0),
    ],
)
def test_sentences(text: str, num: int) -> None:
    assert len(sentences(text)) == num
