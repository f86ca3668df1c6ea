from __future__ import annotations

import pytest

from pe_ray.corpus.qa.asking import asks


@pytest.mark.parametrize(
    "said",
    [
        "So what did you learn as a hospice nurse?",
        "How do you tell a child that?",
        "And is there anything that helps at night?",
        "Tell me about your training.",
        "Could you walk us through a first session?",
        "When you were ten, what were you afraid of?",
        "You were a nurse before that?",
        "Why don’t we talk about it?",
        "Okay, now, which of the two came first?",
    ],
)
def test_what_wants_an_answer_is_a_question(said: str) -> None:
    assert asks(said)


@pytest.mark.parametrize(
    "said",
    [
        *("Really?", "Is that so?", "You did?", "Mm-hmm?", "And then?", "Sorry?", "Oh yeah?", "?", "", "…"),
        *("It never stops, does it?", "You go home and cry, right?", "That is hard, isn't it?", "He left, you know?"),
        *("Who knows?", "What can you do?", "Why not?", "Guess what?", "Does that make sense?", "Know what I mean?"),
        *("So how could I not say yes to that?", "Where was I?", "What was I thinking?", "Who doesn’t love it?"),
        *("I asked him why.", "What a day that was!", "We all grieve.", "The question is what grief does."),
    ],
)
def test_tags_murmurs_and_rhetoric_are_none(said: str) -> None:
    assert not asks(said)
