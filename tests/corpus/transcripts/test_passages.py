from __future__ import annotations

import pytest

from pe_ray.corpus.qa.contextual import contextual
from pe_ray.corpus.transcripts.cue import Cue
from pe_ray.corpus.transcripts.passages import MAX_WORDS, MIN_WORDS, passages, sentences

LINE = "Grief comes in waves and nobody can tell you when the next one will arrive at your door today."
ANSWER = "Grief is what love does when it has nowhere to go, and so it walks about the house at night and waits."


def cues(*texts: str, gap_s: float = 0.1) -> list[Cue]:
    return [Cue(n, n * (5 + gap_s), n * (5 + gap_s) + 5, "", text) for n, text in enumerate(texts, start=1)]


def test_sentences_run_over_cues() -> None:
    found = sentences(cues("I saw Dr. Lee. She", "said: wait. And then", "I waited"))
    assert [s.text for s in found] == ["I saw Dr. Lee.", "She said: wait.", "And then I waited"]
    assert [[c.number for c in s.cues] for s in found] == [[1], [1, 2], [2, 3]]


def test_without_full_stops_a_pause_ends_a_sentence() -> None:
    assert [s.text for s in sentences(cues("so today", "we talk", gap_s=2.0))] == ["so today", "we talk"]
    assert len(sentences(cues("so today", "we talk", gap_s=0.0))) == 1


def test_a_speaker_who_never_stops_is_cut() -> None:
    assert max(s.num_words for s in sentences(cues(" ".join(["and"] * 1000)))) <= 120


@pytest.mark.parametrize("num_lines", [1, 3, 4, 11, 12, 40, 41, 45])
def test_passages_hold_every_word_and_keep_their_size(num_lines: int) -> None:
    said = [f"{LINE[:-1]} {n}." for n in range(num_lines)]
    found = passages(cues(*said))
    assert " ".join(p.text for p in found) == " ".join(said)
    assert all(p.num_words <= MAX_WORDS for p in found)
    assert len(found) == 1 or all(p.num_words >= MIN_WORDS for p in found)


def test_a_question_and_its_answer_are_a_pair() -> None:
    found = passages(cues("Welcome, everybody.", "What does grief want from us?", ANSWER, ANSWER))
    (pair,) = found
    assert pair.question and pair.question.text == "What does grief want from us?"
    assert pair.text == f"{ANSWER} {ANSWER}"
    assert pair.opening_words == 2
    assert [c.number for c in pair.cues] == [2, 3, 4]


@pytest.mark.parametrize(
    "question",
    ["Right?", "Is it what it is?", "The ferry timetable, perhaps?", "What would the ferry timetable say?"],
)
def test_a_question_that_is_not_answered_stays_where_it_was(question: str) -> None:
    (passage,) = passages(cues(LINE, question, ANSWER))
    assert passage.question is None
    assert question in passage.text


def test_nothing_said_gives_no_passage() -> None:
    assert passages([]) == []
    assert passages([Cue(1, 0, 1, "", "", ("music",))]) == []


def test_a_contextual_question_is_made_of_the_passages_own_words() -> None:
    text = "Panic attacks peak early. Panic attacks pass, and the body learns that panic attacks pass."
    question = contextual(text)
    assert question == contextual(text)
    assert question.endswith("?")
    assert "panic attacks" in question.casefold()


def test_outside_english_the_question_is_the_topic_alone() -> None:
    assert contextual("La tristesse revient, la tristesse passe.", "fr") == "Tristesse, revient?"


@pytest.mark.parametrize("text", ["and so it is", "42 17", "…", "ok"])
def test_a_passage_without_a_topic_gets_a_question_all_the_same(text: str) -> None:
    assert text.split()[0] in contextual(text)
