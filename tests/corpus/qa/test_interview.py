from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.qa.interview import answering
from pe_ray.corpus.qa.spans import Words
from pe_ray.corpus.reading import Unreadable
from pe_ray.corpus.sources import voice
from pe_ray.corpus.transcripts.cue import Cue
from pe_ray.record import Record

PODCAST = (
    ("Host", "Welcome to the show, Ada."),
    ("Ada", "Thank you for having me."),
    ("Host", "It is raining again, isn't it? What does a hospice nurse do on the first day?"),
    ("Ada", "You sit down. You do not open the file. You ask what they had for breakfast, and you wait."),
    ("Host", "Really?"),
    ("Ada", "Really. Breakfast tells you who cooks, who shops, and whether anybody in the house still eats."),
    ("Host", "That must have taken a while to learn."),
    ("Ada", "About ten years, and I still forget it when the ward is full."),
    ("Host", "And the families? How do you tell a daughter that there is nothing left to try?"),
    ("Ada", "I say it in one sentence, and then I stay. Leaving after that sentence is what they remember."),
)


def cues(said: tuple[tuple[str, str], ...]) -> list[Cue]:
    return [Cue(n, 5.0 * n, 5.0 * n + 4, who, text) for n, (who, text) in enumerate(said, start=1)]


def read(tmp_path: Path, said: tuple[tuple[str, str], ...], **values: str) -> list[Record | Unreadable]:
    rows = [{"start": c.start_s, "end": c.end_s, "speaker": c.speaker, "text": c.text} for c in cues(said)]
    (tmp_path / "a.json").write_text(json.dumps({"segments": rows}))
    return list(voice.read(SourceSpec(kind="voice", path=str(tmp_path), values=values)))


def test_a_comment_cuts_no_answer_and_turns_of_one_answer_are_joined(tmp_path: Path) -> None:
    first, second = read(tmp_path, PODCAST, content_type="podcast")
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.text_of("user") == PODCAST[2][1]
    assert first.text_of("assistant").split("\n") == [PODCAST[n][1] for n in (3, 5, 7)]
    assert "That must have taken a while" in first.metadata["back_channels"]
    assert second.text_of("user") == PODCAST[8][1]


def test_spans_say_where_question_and_answer_stand(tmp_path: Path) -> None:
    first, second = read(tmp_path, PODCAST, content_type="podcast")
    words = Words(cues(PODCAST))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert words.cut(first.metadata["question_span"]) == ["What does a hospice nurse do on the first day?"]
    assert words.cut(first.metadata["answer_span"]) == [PODCAST[n][1] for n in (3, 5, 7)]
    assert words.cut(second.metadata["question_span"]) == [PODCAST[8][1].partition("? ")[2]]


def test_a_listener_s_letter_is_answered_though_it_asks_nothing(tmp_path: Path) -> None:
    letter = "This one is from Tom. " + "He moved back in with his parents after the fire and cannot sleep there. " * 3
    answered = (("Host", letter), ("Ada", "Then I would start with the room."))
    found = read(tmp_path, (*PODCAST, *answered), content_type="podcast")
    assert [isinstance(r, Record) and r.text_of("user")[:8] for r in found][2] == "This one"


def test_who_asks_is_told_by_name_or_by_questions() -> None:
    assert answering(cues(PODCAST)) == {"Ada"}
    renamed = tuple(("Bea" if who == "Host" else who, text) for who, text in PODCAST)
    assert answering(cues(renamed)) == {"Ada"}
    assert answering(cues((("Bea", "What do you do?"), ("Ada", "Why do you ask?")))) == set()


def test_an_interview_in_which_nobody_asks_is_refused(tmp_path: Path) -> None:
    said = (("Host", "Fine weather."), ("Ada", "It is."), ("Host", "Indeed."), ("Ada", "Yes."))
    (problem,) = read(tmp_path, said, content_type="interview")
    assert isinstance(problem, Unreadable)


MONOLOGUE = (
    "Grief came late to me. Who knows? Maybe it was on time. "
    "What do you do with a dead man's coat? You leave the coat on its hook until the hook annoys you more than it "
    "does, and then you give it to somebody who is cold, and you tell them whose it was."
)


def test_a_monologue_s_own_question_counts_and_its_rhetoric_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"text": MONOLOGUE, "start": 0, "duration": 60}]))
    found = [r for r in voice.read(SourceSpec(kind="voice", path=str(tmp_path))) if isinstance(r, Record)]
    asked = [r for r in found if r.metadata["question"] == "extracted"]
    assert [r.text_of("user") for r in asked] == ["What do you do with a dead man's coat?"]
    span = Words([Cue(1, 0, 60, "", MONOLOGUE)]).cut(asked[0].metadata["answer_span"])
    assert span == [asked[0].text_of("assistant")]


@pytest.mark.parametrize("text", ["", "\x00", "?", "😀?", "¿Qué?", "x" * 10_000 + "?"])
def test_odd_turns_are_read_without_a_crash(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, (*PODCAST[:4], ("Host", text), ("Ada", text)), content_type="podcast")
