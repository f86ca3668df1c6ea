from __future__ import annotations

import pytest

from pe_ray.corpus.transcripts.cue import Transcript
from pe_ray.corpus.transcripts.utterances import parse

HEAD = "transcript_id,video_title,video_url,topic,utterance_id,interlocutor,timestamp,utterance_text,annotator_id\n"


def one(words: str) -> Transcript:
    (transcript,) = parse(words)
    return transcript


def problems(transcript: Transcript) -> list[tuple[int, str]]:
    return [(p.line, p.field) for p in transcript.problems]


def test_recordings_are_told_apart_and_notes_are_read() -> None:
    first, second = parse(
        HEAD
        + '0,Quit,https://v.example/1,smoking ,0,therapist,00:00:13,"Hello, how are you?",3\n'
        + "0,Quit,https://v.example/1,smoking ,1,client,00:00:15,Mm-hmm.,3\n"
        + "1,Diet,https://v.example/2,diet,0,client,0:01,Hungry.,3\n"
    )
    assert (first.name, second.name) == ("0", "1")
    assert first.notes == {"title": "Quit", "recording": "https://v.example/1", "topic": "smoking"}
    assert [(c.number, c.speaker, c.text) for c in first.cues] == [
        (2, "therapist", "Hello, how are you?"),
        (3, "client", "Mm-hmm."),
    ]
    assert [(c.start_s, c.end_s) for c in first.cues] == [(13.0, 15.0), (15.0, 15.0)]


def test_a_row_of_another_annotator_is_said_once() -> None:
    row = "0,Quit,u,smoking,{n},client,00:00:1{n},{text},{a}\n"
    rows = [row.format(n=n, text=t, a=a) for n, t in ((0, "Yes."), (1, "Yes.")) for a in (1, 2, 3)]
    transcript = one(HEAD + "".join(rows))
    assert [(c.text, c.folded) for c in transcript.cues] == [("Yes.", 2), ("Yes.", 2)]


def test_columns_are_found_under_other_names() -> None:
    transcript = one("Speaker Label,Start-Time,End time,Text,Confidence\nA,1.5,2.5,Hi,0.8\n")
    (cue,) = transcript.cues
    assert (cue.speaker, cue.start_s, cue.end_s, cue.text, cue.confidence) == ("A", 1.5, 2.5, "Hi", 0.8)


def test_time_that_runs_backwards_makes_no_negative_duration() -> None:
    cues = one("speaker,timestamp,text\nA,00:00:30,one\nB,00:00:10,two\nA,00:00:12,three\n").cues
    assert [(c.start_s, c.end_s, c.runs_backwards) for c in cues] == [
        (30.0, 30.0, False),
        (10.0, 12.0, True),
        (12.0, 12.0, False),
    ]


def test_without_times_nothing_is_timed() -> None:
    transcript = one("speaker,text\r\nA,one\r\nn/a,two\r\n")
    assert not transcript.timed
    assert [c.speaker for c in transcript.cues] == ["A", "n/a"]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("A,00:00:05", "row"),
        ("A,00:00:05,x,y", "row"),
        ('A,00:00:05,"x" y', "row"),
        ('A,00:00:05,"never closed', "row"),
        ("A,00:00:05,", "text"),
        (",00:00:05,x", "speaker"),
        ("A,soon,x", "timestamp"),
        ("A,,x", "timestamp"),
        ("A,00:00:05,x\0", "text"),
    ],
)
def test_a_bad_row_is_a_problem_with_its_line_beside_the_others(row: str, field: str) -> None:
    transcript = one(f'speaker,timestamp,text\nA,00:00:01,"kept,\n too"\n{row}\nA,00:00:09,kept\n')
    assert problems(transcript) == [(4, field)]
    assert [(c.number, c.text) for c in transcript.cues] == [(2, "kept, too"), (5, "kept")]


def test_a_confidence_that_is_none_is_a_problem() -> None:
    assert problems(one("speaker,text,confidence\nA,x,high\nA,y,\n")) == [(2, "confidence")]


@pytest.mark.parametrize("words", ["", "\n\n", "a,b\n1,2\n", '"text\n'])
def test_without_a_column_of_words_there_is_one_problem(words: str) -> None:
    (transcript,) = parse(words)
    assert problems(transcript) == [(1, "header")]
    assert not transcript.cues


def test_an_open_quote_costs_its_own_row_alone() -> None:
    transcript = one('speaker,text\nA,"open\nB,"fine, yes"\nC,plain\nD,"open\nE,last\n')
    assert problems(transcript) == [(2, "row"), (5, "row")]
    assert [c.text for c in transcript.cues] == ["fine, yes", "plain", "last"]


def test_a_file_of_open_quotes_loses_no_row() -> None:
    transcript = one("speaker,text\n" + 'A,"open\n' * 1000)
    assert len(transcript.problems) == 1000


def test_a_header_alone_holds_nothing() -> None:
    assert one("speaker,text\n") == Transcript()
