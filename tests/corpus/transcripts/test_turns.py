from __future__ import annotations

import time

import pytest

from pe_ray.corpus.row import Fault
from pe_ray.corpus.transcripts.cue import Cue
from pe_ray.corpus.transcripts.turns import between_unnamed, dialogue


def cues(*said: tuple[str, str]) -> list[Cue]:
    return [Cue(n, n * 10.0, n * 10.0 + 8, speaker, text) for n, (speaker, text) in enumerate(said, start=1)]


def unnamed(*said: str) -> list[Cue]:
    return [Cue(n, n, n + 1, "", text, new_turn=True) for n, text in enumerate(said, start=1)]


def test_a_short_answer_is_an_answer() -> None:
    talk = dialogue(
        cues(("Client", "Is it me?"), ("Therapist", "No."), ("Client", "Yes."), ("Therapist", "Why?")), {"Therapist"}
    )
    assert [[t.text for t in e.asking] for e in talk.exchanges] == [["Is it me?"], ["Yes."]]
    assert [[t.text for t in e.helping] for e in talk.exchanges] == [["No."], ["Why?"]]


def test_nothing_said_is_lost() -> None:
    said = [
        ("Therapist", "Hello."),
        ("Client", "Hi."),
        ("Therapist", "So?"),
        ("Client", "I."),
        ("Therapist", "Mm-hmm."),
    ]
    said += [("Client", "fell."), ("Therapist", "Where?"), ("Client", "There.")]
    talk = dialogue(cues(*said), {"Therapist"})
    turns = [t for e in talk.exchanges for t in (*e.asking, *e.helping)]
    kept = sum(len(t.cues) for t in turns) + sum(len(e.back_channels) for e in talk.exchanges)
    assert kept + talk.opening + talk.unanswered == len(said)


def test_a_long_run_of_murmurs_takes_little_time() -> None:
    start = time.process_time()
    talk = dialogue(cues(*[("Client", "go"), ("Therapist", "Mm.")] * 5000, ("Therapist", "Well.")), {"Therapist"})
    assert len(talk.exchanges) == 1
    assert time.process_time() - start < 3


def test_where_only_dashes_are_known_a_question_and_the_next_turn_are_a_pair() -> None:
    talk = between_unnamed(unnamed("Welcome.", "Do you sleep?", "No.", "I see.", "Since when?", "May.", "Thank you."))
    assert [(e.asking[0].text, e.helping[0].text) for e in talk.exchanges] == [
        ("Do you sleep?", "No."),
        ("Since when?", "May."),
    ]
    assert (talk.opening, talk.unanswered) == (1, 2)


def test_dashes_without_a_question_are_a_fault() -> None:
    with pytest.raises(Fault, match="no turn asks"):
        between_unnamed(unnamed("Welcome.", "Thank you."))
