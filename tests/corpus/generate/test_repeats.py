"""A text that was said before is known again, word for word or nearly; another one about the same is not."""

from __future__ import annotations

from random import Random

from pe_ray.corpus.generate.repeats import Repeats
from tests.corpus.generate.server import edge_case

TEXT = (
    "My brother sold the orchard in the winter and since then I have not said one word to him, although we meet at the "
    "bakery every Saturday and both of us look at the bread as if it were a painting in a museum."
)
OTHER = (
    "The orchard was my brother's to sell, people tell me; every Saturday at the bakery I practise a sentence for him "
    "in my head, and every Saturday I buy a loaf and go home with the sentence still inside."
)


def test_the_same_words_are_known_whatever_stands_between_them() -> None:
    known = Repeats()
    known.remember(TEXT)
    assert known.knows(TEXT)
    assert known.knows(TEXT.upper().replace(",", " -"))


def test_a_text_with_a_word_changed_is_known_and_another_one_is_not() -> None:
    known = Repeats()
    known.remember(TEXT)
    assert known.knows(TEXT.replace("winter", "spring"))
    assert not known.knows(OTHER)


def test_short_texts_are_known_by_their_words_alone() -> None:
    known = Repeats()
    known.remember("I am tired.")
    known.remember("")
    assert known.knows("i am TIRED")
    assert not known.knows("I am hungry.")
    assert known.knows("?!")


def test_two_thousand_different_scenarios_are_told_apart() -> None:
    known, random = Repeats(), Random(0)
    for number in range(2000):
        said = edge_case({"must": [], "manner": "calm"}, random)["client"]
        assert not known.knows(said), number
        known.remember(said)
