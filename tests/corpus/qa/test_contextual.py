from __future__ import annotations

from pe_ray.corpus.qa.contextual import GENERAL, KINDS, contextual

TIDE = "The tide comes in whether or not the boats are ready. A harbour master watches the tide tables, not the boats. "


def test_the_same_answer_is_always_asked_the_same_about_its_own_words() -> None:
    question = contextual(TIDE)
    assert question == contextual(TIDE)
    assert question.rstrip().endswith("?")
    assert "tide" in question
    assert "boats" in question


def test_questions_vary_with_what_is_answered() -> None:
    asked = {contextual(TIDE + f"Storm number {n} was the {n}th.") for n in range(40)}
    assert len(asked) >= 6


def test_the_kind_of_question_follows_from_how_the_answer_speaks() -> None:
    steps = "First breathe out. Then count the breaths. Next, name the room. Finally, start with the breaths again."
    forms = {kind: [t.split("{topic}")[0] for t in asked] for kind, _, _, asked in KINDS}
    assert contextual(steps).startswith(tuple(f for f in forms["steps"] if f))
    story = "I was nine when I lost the boat. I remember the rope. When I found the boat again, I felt the rope burn."
    assert contextual(story).startswith(tuple(f for f in forms["story"] if f))


def test_what_has_no_topic_is_asked_by_its_opening() -> None:
    assert "“12 34 56”" in contextual("12 34 56")
    assert all("{topic}" in t for t in GENERAL)


def test_outside_english_only_the_topic_is_asked() -> None:
    assert contextual("La tristesse revient, la tristesse passe.", "fr") == "Tristesse, revient?"
