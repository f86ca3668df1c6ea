"""The nouns of a transcript: what was said, by whom and when, and what could not be read.

Every format gives the same `Transcript`. What a file cannot tell stays empty: a cue without a name has the speaker "",
and a transcript without times says so (`timed`), rather than claim that everything was said at second zero.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

TAG = re.compile(
    r"</?(?:v|c|i|b|u|s|ruby|rt|lang|font)(?:[.\s][^<>]{0,200})?>|<\d[\d:.]*>|\{\\[^{}]{1,40}\}", re.IGNORECASE
)
NOISES = (
    r"laugh\w*|chuckl\w*|giggl\w*|sigh\w*|cough\w*|cry\w*|sob\w*|weep\w*|sniff\w*|gasp\w*|breath\w*|exhal\w*"
    r"|inhal\w*|clears? throat|music|applause|cheer\w*|clap\w*|(?:long )?pause\w*|silen\w*|noise|background|phone|door"
    r"|nods?|shrugs?|whisper\w*|tearful\w*|foreign|beep|__+"
)
UNHEARD_WORDS = (
    r"unintelligible|inaudible|indiscernible|indecipherable|cross-?talk|overlapping|unclear|unheard|overtalk\w*"
)
DIRECTION = re.compile(rf"(?:{NOISES}|{UNHEARD_WORDS})(?:[\s,;:].*)?", re.IGNORECASE)
"""What stands in brackets and is certainly no name."""
UNHEARD = re.compile(rf"\b(?:{UNHEARD_WORDS})\b|^\?+$", re.IGNORECASE)
"""A stage direction that says: here words were spoken, and they are missing."""
HALF_PAIR = re.compile("[\ud800-\udfff]")
STAGE_DIRECTION = re.compile(
    rf"\[([^\[\]\n]{{1,80}})\]|\(((?:{NOISES})|(?:{UNHEARD_WORDS})(?:[\s,;:][^()\n]{{0,60}})?)\)", re.IGNORECASE
)


@dataclass(frozen=True)
class Cue:
    """What one speaker says between two times; `number` counts the file's cues from 1 (of a CSV: its lines)."""

    number: int
    start_s: float
    end_s: float
    speaker: str
    text: str = field(repr=False)
    stage_directions: tuple[str, ...] = ()
    runs_backwards: bool = False
    """It ends before it starts, or starts before the cue ahead of it."""
    new_turn: bool = False
    """A dash or `>>` says that somebody else speaks from here, and not who."""
    folded: int = 0
    """Lines that a rolling caption showed again, or rows that repeat it; they are said once."""
    confidence: float | None = None
    """Of the recogniser, 0 to 1."""
    no_speech: float | None = None
    """Probability, by the recogniser, that nobody spoke."""
    compression: float | None = None
    """How far the words compress; loops compress well."""


@dataclass(frozen=True)
class Problem:
    """What is no cue: its line (in JSON: the number of its item), the field, and what would be right."""

    line: int
    field: str
    reason: str


@dataclass
class Transcript:
    """One recording: `notes` are what the file says about it, `name` tells it from others in the same file."""

    notes: dict[str, str] = field(default_factory=dict)
    cues: list[Cue] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    name: str = ""
    timed: bool = True


def add(
    transcript: Transcript, number: int, line: int, times: tuple[float, float], speaker: str, payload: str, **more: Any
) -> None:
    """Append a cue, or a problem if its words cannot be kept."""
    if problem := unfit(payload + speaker):
        transcript.problems.append(Problem(line, "text", problem))
        return
    start, end = times
    clock = transcript.cues[-1].start_s if transcript.cues else 0.0
    name = " ".join(speaker.split())
    backwards = end < start or start < clock
    transcript.cues.append(Cue(number, start, end, name, *spoken(payload), backwards, **more))


def spoken(payload: str) -> tuple[str, tuple[str, ...]]:
    """The words without tags and stage directions, and the directions."""
    plain = TAG.sub("", payload)
    plain = html.unescape(plain) if "&" in plain else plain
    directions = tuple((inner or outer).strip() for inner, outer in STAGE_DIRECTION.findall(plain))
    words = " ".join(STAGE_DIRECTION.sub(" ", plain).split())
    return re.sub(r" ([,.;:!?])", r"\1", words) if directions else words, directions


def unfit(words: str) -> str | None:
    """Why these words cannot stand in a text file, or None."""
    if "\0" in words:
        return "holds a NUL character; text is wanted"
    return "holds half a surrogate pair, which is no character" if HALF_PAIR.search(words) else None
