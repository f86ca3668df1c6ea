"""Captions and recogniser output as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pe_ray.corpus.transcripts import parse
from pe_ray.corpus.transcripts.cue import Transcript

EVENTS = {
    "events": [
        {"tStartMs": 0, "dDurationMs": 9000, "id": 1},
        {"tStartMs": 1000, "dDurationMs": 2000, "segs": [{"utf8": "so "}, {"utf8": "today", "tOffsetMs": 200}]},
        {"tStartMs": 3000, "dDurationMs": 10, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 3010, "dDurationMs": 2000, "segs": [{"utf8": "we talk"}]},
    ]
}
SEGMENTS = {
    "language": "en",
    "segments": [
        {"start": 0.0, "end": 2.0, "text": " How was it?", "speaker": "THERAPIST", "avg_logprob": -0.1},
        {
            "start": 2.5,
            "end": 4.0,
            "text": "Long.",
            "speaker": "CLIENT",
            "no_speech_prob": 0.7,
            "compression_ratio": 2.9,
            "words": [{"word": "Long.", "probability": 0.4}, {"word": "", "score": 0.6}],
        },
    ],
}


def read(data: Any) -> Transcript:
    (transcript,) = parse(data if isinstance(data, str) else json.dumps(data), ".json")
    return transcript


def problems(transcript: Transcript) -> list[tuple[int, str]]:
    return [(p.line, p.field) for p in transcript.problems]


def test_events_with_words_are_cues() -> None:
    transcript = read(EVENTS)
    assert [(c.number, c.start_s, c.end_s, c.text) for c in transcript.cues] == [
        (2, 1.0, 3.0, "so today"),
        (4, 3.01, 5.01, "we talk"),
    ]
    assert not transcript.problems


def test_a_list_of_texts_is_cues() -> None:
    transcript = read([{"text": "CLIENT: hello", "start": 1.5, "duration": 2}, {"text": "THERAPIST: hi", "start": 4}])
    assert [(c.speaker, c.text, c.start_s, c.end_s) for c in transcript.cues] == [
        ("CLIENT", "hello", 1.5, 3.5),
        ("THERAPIST", "hi", 4.0, 4.0),
    ]


def test_segments_keep_what_the_recogniser_knows() -> None:
    first, second = read(SEGMENTS).cues
    assert read(SEGMENTS).notes == {"language": "en"}
    assert (first.speaker, first.text, first.confidence) == (
        "THERAPIST",
        "How was it?",
        pytest.approx(0.9048, abs=1e-4),
    )
    assert (second.confidence, second.no_speech, second.compression) == (0.5, 0.7, 2.9)


@pytest.mark.parametrize(
    "data",
    [
        {"utterances": [{"speaker": 0, "start": 1, "end": 2, "text": "Hi.", "confidence": 0.8}]},
        {"results": {"utterances": [{"speaker": 0, "start": 1, "end": 2, "transcript": "Hi.", "confidence": 0.8}]}},
    ],
)
def test_utterances_are_cues(data: dict[str, Any]) -> None:
    (cue,) = read(data).cues
    assert (cue.speaker, cue.start_s, cue.end_s, cue.text, cue.confidence) == ("Speaker 0", 1.0, 2.0, "Hi.", 0.8)


def test_utterances_without_times_say_so() -> None:
    transcript = read({"utterances": [{"speaker": "A", "text": "Hi."}]})
    assert (transcript.timed, len(transcript.cues), transcript.problems) == (False, 1, [])


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"start": 1, "end": 2, "speaker": "A"}, "text"),
        ({"start": 1, "end": 2, "speaker": "A", "text": " "}, "text"),
        ({"start": 1, "end": 2, "speaker": "A", "text": "x\0"}, "text"),
        ({"start": 1, "end": 2, "speaker": "A", "text": "\ud800"}, "text"),
        ({"start": 1, "end": 2, "text": "x"}, "speaker"),
        ({"start": 1, "end": 2, "text": "x", "speaker": ["A"]}, "speaker"),
        ({"start": -1, "end": 2, "text": "x", "speaker": "A"}, "start"),
        ({"end": 2, "text": "x", "speaker": "A"}, "start"),
        ({"start": "soon", "text": "x", "speaker": "A"}, "start"),
        ({"start": float("nan"), "text": "x", "speaker": "A"}, "start"),
        ({"start": 10**400, "text": "x", "speaker": "A"}, "start"),
        ({"start": 1, "text": "x", "speaker": "A", "confidence": 3}, "confidence"),
        ({"start": 1, "text": "x", "speaker": "A", "confidence": True}, "confidence"),
        ("x", "item"),
        (None, "item"),
    ],
)
def test_a_bad_segment_is_a_problem_with_its_number_beside_the_others(item: Any, field: str) -> None:
    good = {"start": 3, "end": 4, "text": "kept", "speaker": "A"}
    transcript = read({"segments": [good, item, good]})
    assert problems(transcript) == [(2, field)]
    assert [c.number for c in transcript.cues] == [1, 3]
    assert not any("x" in p.reason.split() for p in transcript.problems)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"tStartMs": 1, "segs": "x"}, "segs"),
        ({"tStartMs": 1, "segs": [{"utf8": 3}]}, "segs"),
        ({"segs": [{"utf8": "x"}]}, "tStartMs"),
        ({"tStartMs": -1, "segs": [{"utf8": "x"}]}, "tStartMs"),
        (7, "item"),
    ],
)
def test_a_bad_event_is_a_problem_with_its_number(item: Any, field: str) -> None:
    transcript = read({"events": [item, {"tStartMs": 5, "segs": [{"utf8": "kept"}]}]})
    assert problems(transcript) == [(1, field)]
    assert [c.text for c in transcript.cues] == ["kept"]


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("", "json"),
        ("words", "json"),
        ("{}", "json"),
        ("null", "json"),
        ('{"video": 1}', "json"),
        ('{"segments": 3}', "segments"),
        ('{"events": {}}', "events"),
        ("[" * 100_000, "json"),
        ("[1" + "0" * 5000 + "]", "json"),
    ],
)
def test_what_is_no_transcript_is_one_problem(words: str, field: str) -> None:
    transcript = read(words)
    assert [p.field for p in transcript.problems] == [field]
    assert not transcript.cues


@pytest.mark.parametrize("data", [EVENTS, SEGMENTS, EVENTS["events"][1:2], [{"text": "a", "start": 1}] * 3])
def test_a_file_cut_anywhere_keeps_what_stands_before_the_cut(data: Any) -> None:
    whole = json.dumps(data)
    kept = 0
    for end in range(len(whole)):
        transcript = read(whole[:end])
        assert transcript.problems[-1].field == "json"
        assert len(transcript.cues) >= kept
        kept = len(transcript.cues)
    if isinstance(data, dict):
        assert kept == len(read(whole).cues)
