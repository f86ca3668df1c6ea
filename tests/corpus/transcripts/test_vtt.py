from __future__ import annotations

import time

import pytest

from pe_ray.corpus.transcripts.vtt import parse


def file(*blocks: str) -> str:
    return "\n\n".join(["WEBVTT", *blocks, ""])


def test_notes_cues_and_speakers_are_read() -> None:
    transcript = parse(
        file(
            "NOTE\ntitle: First\nlanguage: en",
            "STYLE\n::cue { color: red }",
            "intro\n00:01.000 --> 01:02:03.500 align:start\n<v.loud Ann Lee>Hello\n<i>there</i></v>",
            "00:05.000 --> 00:06.000\n<v Bob>One<00:05.500> two\n<v Ann Lee>Three &amp; four",
        )
    )
    assert transcript.notes == {"title": "First", "language": "en"}
    assert not transcript.problems
    assert [(c.number, c.speaker, c.text) for c in transcript.cues] == [
        (1, "Ann Lee", "Hello there"),
        (2, "Bob", "One two"),
        (2, "Ann Lee", "Three & four"),
    ]
    assert (transcript.cues[0].start_s, transcript.cues[0].end_s) == (1.0, 3723.5)


def test_stage_directions_are_no_words() -> None:
    (cue,) = parse(
        file("00:01.000 --> 00:02.000\n<v Client>Well [laughs], it was [unintelligible 00:01] fine (coughs) (I think).")
    ).cues
    assert cue.text == "Well, it was fine (I think)."
    assert cue.stage_directions == ("laughs", "unintelligible 00:01", "coughs")


def test_time_that_runs_backwards_is_noted() -> None:
    cues = parse(
        file(
            "00:05.000 --> 00:06.000\n<v A>One",
            "00:04.000 --> 00:07.000\n<v A>Two",
            "00:09.000 --> 00:08.000\n<v A>Three",
            "00:10.000 --> 00:11.000\n<v A>Four",
        )
    ).cues
    assert [c.runs_backwards for c in cues] == [False, True, True, False]


@pytest.mark.parametrize(
    ("words", "line", "field"),
    [
        ("00:01.000 --> 00:02.000\n<v A>x", 1, "header"),
        ("", 1, "header"),
        (file("00:01.000 --> soon\n<v A>x"), 3, "timing"),
        (file(f"{'9' * 5000}:00:01.000 --> 00:02.000\n<v A>x"), 3, "timing"),
        (file("1\n<v A>x"), 3, "timing"),
        (file("00:01.000 --> 00:02.000\n<v  >x"), 4, "speaker"),
        (file("00:01.000 --> 00:02.000"), 4, "text"),
        (file("00:01.000 --> 00:02.000\n<v A>x\0y"), 4, "text"),
        (file("00:01.000 --> 00:02.000\n<v A>x\ud800y"), 4, "text"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_its_line(words: str, line: int, field: str) -> None:
    transcript = parse(words)
    assert [(p.line, p.field) for p in transcript.problems] == [(line, field)]
    assert not transcript.cues


def test_a_bad_cue_does_not_hide_the_others() -> None:
    transcript = parse(
        file("00:01.000 -> 00:02.000\n<v A>x", "00:03.000 --> 00:04.000\n<v A>kept").replace("\n", "\r\n")
    )
    assert [c.text for c in transcript.cues] == ["kept"]
    assert len(transcript.problems) == 1


def test_a_cue_without_a_voice_among_cues_with_one_is_a_problem() -> None:
    transcript = parse(file("00:01.000 --> 00:02.000\n<v A>mine", "7\n00:03.000 --> 00:04.000\nnobody's"))
    assert [c.text for c in transcript.cues] == ["mine"]
    assert [(p.line, p.field) for p in transcript.problems] == [(8, "speaker")]


def test_a_file_in_which_nobody_is_named_is_one_unnamed_voice() -> None:
    transcript = parse("WEBVTT\nKind: captions\nLanguage: en\n\n00:01.000 --> 00:02.000\nso today")
    assert transcript.notes == {"kind": "captions", "language": "en"}
    assert [(c.speaker, c.text) for c in transcript.cues] == [("", "so today")]
    assert not transcript.problems


def test_every_prefix_of_a_file_is_read_without_loss() -> None:
    whole = file(*(f"00:0{i}.000 --> 00:0{i + 1}.000\n<v A>word{i}" for i in range(5)))
    for end in range(len("WEBVTT"), len(whole)):
        transcript = parse(whole[:end])
        begun = len([b for b in whole[:end].split("\n\n")[1:] if b.strip()])
        assert len(transcript.cues) + len(transcript.problems) == begun


@pytest.mark.parametrize(
    "junk", ["<v " * 50_000, "<v" + ".a" * 50_000, "[" * 50_000, "a " * 50_000 + ":", "&" * 50_000]
)
def test_a_cue_made_to_be_slow_takes_little_time(junk: str) -> None:
    start = time.process_time()
    transcript = parse(file(f"NOTE\ntitle: a{' ' * 50_000}b", f"00:01.000 --> 00:02.000\n{junk}"))
    assert len(transcript.cues) == 1
    assert time.process_time() - start < 2
