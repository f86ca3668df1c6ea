"""Captions of a video platform as JSON, in the two shapes that its tools write.

    {"events": [{"tStartMs": 1200, "dDurationMs": 2400, "segs": [{"utf8": "so "}, {"utf8": "today"}]}]}
    [{"text": "so today", "start": 1.2, "duration": 2.4}]

Events without words (a window opens, a line is fed) are no captions. `acAsrConf` is not used: it is 0 in nearly every
file, which would say that nothing was understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pe_ray.corpus.row import Fault, kind
from pe_ray.corpus.transcripts import captions
from pe_ray.corpus.transcripts.captions import Caption
from pe_ray.corpus.transcripts.cue import Problem, Transcript
from pe_ray.corpus.transcripts.jsontext import seconds


def from_events(data: dict[str, Any]) -> Transcript:
    """The `events` of a caption track."""
    return _read(data["events"], _event)


def from_list(data: Sequence[Any]) -> Transcript:
    """A list of texts with start and duration."""
    return _read(data, _snippet)


def _read(items: Any, to_caption: Any) -> Transcript:
    transcript = Transcript()
    found: list[Caption] = []
    if not isinstance(items, list):
        transcript.problems.append(Problem(0, "events", f"is {kind(items)}; a list is wanted"))
        items = []
    for position, item in enumerate(items, start=1):
        try:
            caption = to_caption(_object(item), position)
        except Fault as fault:
            transcript.problems.append(Problem(position, fault.name, fault.reason))
            continue
        if caption:
            found.append(caption)
    captions.fill(transcript, found)
    return transcript


def _event(item: dict[str, Any], position: int) -> Caption | None:
    segs = item.get("segs", [])
    if not isinstance(segs, list) or not all(isinstance(s, dict) and isinstance(s.get("utf8", ""), str) for s in segs):
        raise Fault("segs", 'is no list of {"utf8": text}')
    lines = _lines("".join(s.get("utf8", "") for s in segs))
    if not lines:
        return None
    start, length = seconds(item, "tStartMs"), seconds(item, "dDurationMs")
    if start is None:
        raise Fault("tStartMs", "is missing; milliseconds from the beginning are wanted")
    return Caption(position, position, start / 1000, (start + (length or 0.0)) / 1000, lines)


def _snippet(item: dict[str, Any], position: int) -> Caption | None:
    words = item.get("text")
    if not isinstance(words, str):
        raise Fault("text", f"is {kind(words)}; text is wanted")
    start, length = seconds(item, "start"), seconds(item, "duration", "dur")
    if start is None:
        raise Fault("start", "is missing; seconds from the beginning are wanted")
    lines = _lines(words)
    return Caption(position, position, start, start + (length or 0.0), lines) if lines else None


def _lines(words: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in words.splitlines() if line.strip())


def _object(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Fault("item", f"is {kind(item)}; an object is wanted")
    return item
