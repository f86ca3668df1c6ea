from __future__ import annotations

import pytest

from pe_ray.corpus.transcripts.cue import Cue
from pe_ray.corpus.transcripts.srt import parse


def srt(*texts: str, step_s: int = 10) -> str:
    """Captions of 8 seconds, one every `step_s`."""
    time = [f"00:{i * step_s // 60:02d}:{i * step_s % 60:02d}" for i in range(len(texts) + 1)]
    ends = [f"00:{(i * step_s + 8) // 60:02d}:{(i * step_s + 8) % 60:02d}" for i in range(len(texts))]
    return "\n\n".join(f"{i + 1}\n{time[i]},000 --> {ends[i]},500\n{text}" for i, text in enumerate(texts)) + "\n"


def said(words: str) -> list[tuple[str, str]]:
    transcript = parse(words)
    assert not transcript.problems
    return [(c.speaker, c.text) for c in transcript.cues]


def test_comma_milliseconds_tags_and_a_byte_order_mark() -> None:
    transcript = parse("\ufeff1\n00:00:01,250 --> 00:00:02,5\n{\\an8}<i>So</i> <font color='red'>today</font>\n")
    assert transcript.cues == [Cue(1, 1.25, 2.5, "", "So today")]


def test_roles_are_speakers_and_a_caption_without_a_label_goes_on() -> None:
    text = srt("THERAPIST: How was the week?", "CLIENT: Long.", "I slept badly.", "THERAPIST: How badly?")
    assert said(text) == [
        ("THERAPIST", "How was the week?"),
        ("CLIENT", "Long."),
        ("CLIENT", "I slept badly."),
        ("THERAPIST", "How badly?"),
    ]


def test_two_voices_in_one_caption_are_two_cues() -> None:
    assert said(srt("[Therapist] Ready?\n[Client] Yes.\nI think.")) == [
        ("Therapist", "Ready?"),
        ("Client", "Yes. I think."),
    ]


def test_names_that_come_back_are_speakers() -> None:
    text = srt("Ana: Subject: the move.", "Dr. Lee: Go on.", "Ana: That was it.", "Dr. Lee: All of it?")
    assert [s for s, _ in said(text)] == ["Ana", "Dr. Lee", "Ana", "Dr. Lee"]
    assert said(text)[0][1] == "Subject: the move."


def test_a_colon_alone_makes_no_speaker() -> None:
    texts = ["Remember: breathe.", "One more thing.", "Remember: slowly.", "So that is it."]
    assert {s for s, _ in said(srt(*texts))} == {""}
    assert said(srt(*texts))[0][1] == "Remember: breathe."


def test_stage_directions_are_no_names() -> None:
    transcript = parse(srt("[Music]", "[Laughs] Well.", "[Music]", "[Laughs] Yes."))
    assert {c.speaker for c in transcript.cues} == {""}
    assert [c.text for c in transcript.cues] == ["", "Well.", "", "Yes."]


def test_dashes_say_that_somebody_else_speaks_and_not_who() -> None:
    cues = parse(srt("- Do you sleep?\n- No.", ">> Since when?", "Tell me.")).cues
    assert [(c.speaker, c.new_turn, c.text) for c in cues] == [
        ("", True, "Do you sleep?"),
        ("", True, "No."),
        ("", True, "Since when?"),
        ("", False, "Tell me."),
    ]


def test_a_dash_without_a_name_where_others_are_named_is_a_problem() -> None:
    transcript = parse(srt("Hello?", "CLIENT: I am here.", "- Who spoke?", "THERAPIST: I did."))
    assert [c.text for c in transcript.cues] == ["I am here.", "I did."]
    assert [(p.line, p.field) for p in transcript.problems] == [(3, "speaker"), (11, "speaker")]


@pytest.mark.parametrize(
    ("words", "line", "field"),
    [
        ("1\n00:00:01.000 -> 00:00:02,000\nx", 1, "timing"),
        ("1\n00:00:01,000 --> later\nx", 2, "timing"),
        ("1\n00:00:01,000 --> 00:00:02,000", 3, "text"),
        ("just words", 1, "timing"),
        ("1\n00:00:01,000 --> 00:00:02,000\nx\0", 3, "text"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_its_line(words: str, line: int, field: str) -> None:
    transcript = parse(words)
    assert [(p.line, p.field) for p in transcript.problems] == [(line, field)]
    assert not transcript.cues


def test_an_empty_file_has_nothing_to_tell() -> None:
    assert (parse("").cues, parse("").problems) == ([], [])
