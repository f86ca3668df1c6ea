from __future__ import annotations

import pytest

from pe_ray.corpus.knowledge import lectures
from pe_ray.corpus.knowledge.entry import Entry, Problem

LECTURE = """\
title: How lamps calm
speaker: Dr. Ines Vale
role: psychologist

[00:00:04] Dr. Ines Vale: Good morning. Today we speak about lamps, [laughter] and about why
[00:00:09] people light them when the evening is long and nobody has come home yet.

[00:05:10] Student: Is it ever too late to light one?
[00:05:14] Dr. Ines Vale: No. It is never too late, remember: a lamp that is lit late is lit all the same.
[00:05:02] Student: Thank you.
"""
ALONE = "# On dusk\n\n" + "\n\n".join(
    f"Remember: the hour {i} of dusk is long. " + "It is very dim. " * 30 for i in range(6)
)


def entries(text: str, uri: str = "talks/how_lamps-calm.txt") -> list[Entry]:
    return [e for e in lectures.read(text, uri) if isinstance(e, Entry)]


def test_a_talk_gives_its_passages_and_what_the_audience_asked() -> None:
    talk, answered = entries(LECTURE)
    assert talk.answer == (
        "Good morning. Today we speak about lamps, and about why "
        "people light them when the evening is long and nobody has come home yet."
    )
    assert "How lamps calm" in talk.question
    assert talk.metadata["question"] == "contextual"
    assert answered.question == "Is it ever too late to light one?"
    assert answered.answer.startswith("No. It is never too late, remember:")
    assert answered.metadata["question"] == "extracted"
    assert (talk.offset, answered.offset) == (5, 9)


def test_who_speaks_when_and_how_well_it_was_written_down() -> None:
    talk, answered = entries(LECTURE)
    assert talk.content_type == "psychologist_voice"
    assert (talk.metadata["start"], answered.metadata["start"]) == ("4.000", "314.000")
    assert talk.metadata["negative_time_steps"] == "1"
    assert talk.metadata["stage_directions"] == "1"
    assert talk.metadata["recording"] == "talks/how_lamps-calm.txt"
    assert answered.metadata["unanswered_turns"] == "1", "the thanks at the end are answered by nobody"


def test_a_talk_without_speakers_is_cut_into_passages() -> None:
    found = entries(ALONE)
    assert len(found) > 1
    assert all(len(e.answer.split()) <= 400 for e in found)
    assert {e.content_type for e in found} == {"speech"}
    assert all("On dusk" in e.question for e in found)
    assert len({e.question for e in found}) == len(found)
    assert sum(len(e.answer.split()) for e in found) == len(ALONE.split()) - len(["#", "On", "dusk"])


@pytest.mark.parametrize(
    ("heading", "wanted"),
    [
        ("content_type: psychologist_voice", "psychologist_voice"),
        ("content_type: speech\nrole: therapist", "speech"),
        ("role: a counsellor", "psychologist_voice"),
        ("date: 2001", "speech"),
    ],
)
def test_what_kind_of_voice_it_is(heading: str, wanted: str) -> None:
    assert {e.content_type for e in entries(f"{heading}\n\n{'Lamps are dim. ' * 20}")} == {wanted}


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        (LECTURE, True),
        ("Host: Hello.\nVale: Good morning.\nHost: Begin.\n", True),
        ("00:01 a\n00:02 b\n", True),
        ("- **Wick**: a cord\n- **Flame**: what burns\n", False),
        ("Only prose: and no more.", False),
        ("", False),
    ],
)
def test_what_a_transcript_looks_like(text: str, yes: bool) -> None:
    assert lectures.looks_like(text) is yes


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("Too short.", 0, "file"),
        ("content_type: opera\n\n" + "la " * 50, 1, "content_type"),
        ("lamp " * 30 + "\nla\0mp", 2, "line"),
        ("\n\n", 0, "file"),
    ],
)
def test_what_is_no_talk_says_why(text: str, line: int, field: str) -> None:
    (problem,) = lectures.read(text, "x.txt")
    assert isinstance(problem, Problem)
    assert (problem.line, problem.field) == (line, field)
