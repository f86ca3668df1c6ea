"""WebVTT as transcripts use it: notes, cues with a speaker, stage directions.

Our own few lines, because the common parser (webvtt-py) passes over a cue that it cannot read without a word, and a
ledger needs to know. Format: https://www.w3.org/TR/webvtt1/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
TIMING = re.compile(rf"^\s*{TIME}\s*-->\s*{TIME}(?:\s|$)")
VOICE = re.compile(r"<v(?:\.[^\s>]+)*\s+([^>]+)>")
TAG = re.compile(r"</?(?:v|c|i|b|u|ruby|rt|lang)(?:[.\s][^>]*)?>|<\d[\d:.]*>")
STAGE_DIRECTION = re.compile(r"\[[^\[\]\n]{1,80}\]")
NOTE_LINE = re.compile(r"^\s*([a-z_]+)\s*:\s*(.+?)\s*$")


@dataclass(frozen=True)
class Cue:
    """What one speaker says between two times; `number` counts the file's cues from 1."""

    number: int
    start_s: float
    end_s: float
    speaker: str
    text: str = field(repr=False)
    stage_directions: tuple[str, ...] = ()
    runs_backwards: bool = False
    """It ends before it starts, or starts before the cue ahead of it."""


@dataclass(frozen=True)
class Problem:
    """A block that is no cue: where, what, and what would be right."""

    line: int
    field: str
    reason: str


@dataclass
class Transcript:
    """One file: `notes` are the `key: value` lines of its NOTE blocks."""

    notes: dict[str, str] = field(default_factory=dict)
    cues: list[Cue] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def parse(words: str) -> Transcript:
    """Read a WebVTT text; what cannot be read stands in `problems`, never nowhere."""
    transcript = Transcript()
    blocks = _blocks(words)
    first = next(blocks, (1, [""]))
    if not first[1][0].lstrip("\ufeff").startswith("WEBVTT"):
        transcript.problems.append(Problem(first[0], "header", "is not WEBVTT; a WebVTT file begins with that word"))
        return transcript
    number, clock = 0, 0.0
    for line, block in blocks:
        if block[0].startswith(("STYLE", "REGION")):
            continue
        if re.match(r"NOTE(\s|$)", block[0]):
            transcript.notes.update(m.groups() for m in map(NOTE_LINE.match, block) if m)
            continue
        number += 1
        found = _cue(line, block, number, clock)
        if isinstance(found, Problem):
            transcript.problems.append(found)
            continue
        transcript.cues += found
        clock = found[-1].start_s
    return transcript


def _cue(line: int, block: Sequence[str], number: int, clock: float) -> list[Cue] | Problem:
    """The cue of a block, in several pieces where it holds several voices."""
    at = next((i for i, text in enumerate(block[:2]) if "-->" in text), None)
    if at is None:
        return Problem(line, "timing", "is missing; 00:00:01.000 --> 00:00:02.500 is wanted above the words")
    match = TIMING.match(block[at])
    if not match:
        return Problem(line + at, "timing", "cannot be read; 00:00:01.000 --> 00:00:02.500 is wanted")
    start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
    payload = "\n".join(block[at + 1 :])
    ahead, *voices = VOICE.split(payload)
    if not voices or ahead.strip() or not all(name.strip() for name in voices[::2]):
        return Problem(line + at + 1, "speaker", "is missing; write the words as <v Speaker>words")
    backwards = end < start or start < clock
    return [
        Cue(number, start, end, " ".join(name.split()), *_words(said), backwards)
        for name, said in zip(voices[::2], voices[1::2], strict=True)
    ]


def _words(payload: str) -> tuple[str, tuple[str, ...]]:
    """The words without tags and stage directions, and the directions."""
    plain = TAG.sub("", payload)
    directions = tuple(d.strip("[]").strip() for d in STAGE_DIRECTION.findall(plain))
    spoken = " ".join(STAGE_DIRECTION.sub(" ", plain).split())
    return re.sub(r" ([,.;:!?])", r"\1", spoken) if directions else spoken, directions


def _blocks(words: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines between empty ones, with the number of their first line."""
    block: list[str] = []
    for number, text in enumerate([*re.split(r"\r\n|\r|\n", words), ""], start=1):
        if text.strip():
            block.append(text)
        elif block:
            yield number - len(block), block
            block = []


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (p or "0" for p in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000
