"""Transcripts of lectures and talks: who speaks, when, and what the audience asked.

    title: How attachment begins
    speaker: Dr. Ines Vale
    role: psychologist

    [00:00:04] Dr. Ines Vale: Good morning. ...
    [00:05:10] Student: Is it ever too late?
    [00:05:14] Dr. Ines Vale: No. ...

The one who says most, or whom the heading names, lectures: a turn is cut into passages. What somebody else says before
a turn is its question. Stage directions in brackets are no words and are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pe_ray.corpus.knowledge import questions
from pe_ray.corpus.knowledge.entry import CONTEXTUAL, EXTRACTED, Entry, Problem, one_line, unwritable_line
from pe_ray.corpus.knowledge.passages import passages

HEADING_KEYS = {"title", "speaker", "role", "topic", "date", "content_type", "language", "course"}
CONTENT_TYPES = ("speech", "psychologist_voice")
LEAST_WORDS = 20
"""Of a whole file; less is no lecture."""

KEY_VALUE = re.compile(r"^(?P<key>[A-Za-z_]+)\s*:\s*(?P<value>.+)$")
TIME = r"[\[(]?(?P<time>(?:\d{1,2}:)?\d{1,3}:\d{2}(?:[.,]\d{1,3})?)[\])]?"
TIMED = re.compile(rf"^{TIME}(?:\s*-+>?\s*{TIME.replace('?P<time>', '?:')})?\s*(?P<rest>.*)$")
LABEL = r"(?P<speaker>[A-Z][\w.'’-]*(?:\s[A-Z0-9][\w.'’-]*){0,3})"
SPEAKER = re.compile(rf"^(?:\*\*)?{LABEL}(?:\*\*)?\s*(?:{TIME})?(?:\*\*)?\s*:(?:\*\*)?\s*(?P<rest>.*)$")
ROLES = {"lecturer", "student", "professor", "audience", "moderator", "host", "interviewer", "speaker", "q", "a"}
"""Who is a speaker even where the label stands once."""
NO_SPEAKERS = {"note", "remember", "example", "summary", "exercise", "important", "warning", "tip", "definition"}
HELPERS = re.compile(r"psycholog|therapist|counsel|psychiatr|clinician", re.I)
STAGE_DIRECTION = re.compile(r"\[[^\[\]\n]{1,80}\]")


@dataclass
class Turn:
    """What one speaker says at a stretch: paragraphs and the line of each."""

    speaker: str
    start_s: float | None
    paragraphs: list[tuple[int, list[str]]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [" ".join(lines) for _, lines in self.paragraphs]


@dataclass
class Talk:
    """One transcript."""

    heading: Mapping[str, str]
    turns: list[Turn]
    stage_directions: int = 0
    negative_time_steps: int = 0


def looks_like(text: str) -> bool:
    """A transcript has a heading of its own, times at its lines, or speakers who speak again."""
    lines = text.split("\n")
    if {"speaker", "content_type"} & set(_heading(lines)[0]):
        return True
    timed = sum(bool(TIMED.match(line.strip())) for line in lines)
    return timed >= 2 or bool(_speakers(lines, {}))


def read(text: str, uri: str) -> Iterator[Entry | Problem]:
    """The entries of a transcript: its passages, and the questions of the audience with their answers."""
    if fault := unwritable_line(text):
        yield fault
        return
    talk = parse(text)
    content_type = talk.heading.get("content_type", "").casefold()
    if content_type and content_type not in CONTENT_TYPES:
        yield Problem(1, "content_type", f"is not one of {', '.join(CONTENT_TYPES)}")
        return
    if sum(len(t.split()) for turn in talk.turns for t in turn.texts) < LEAST_WORDS:
        yield Problem(0, "file", f"holds fewer than {LEAST_WORDS} words; a transcript of a talk is wanted")
        return
    yield from _entries(talk, content_type, uri)


def parse(text: str) -> Talk:
    """The turns of a transcript."""
    lines = text.split("\n")
    heading, first = _heading(lines)
    speakers = _speakers(lines[first:], heading)
    talk = Talk(heading, [Turn(heading.get("speaker", ""), None)])
    latest, blank = 0.0, True
    for number, raw in enumerate(lines[first:], start=first + 1):
        line = raw.strip().lstrip("#").strip()
        at, line = _time(line)
        label = SPEAKER.match(line)
        if label and label["speaker"] in speakers:
            at = at if at is not None else _seconds(label["time"])
            line, blank = label["rest"], True
            talk.turns.append(Turn(label["speaker"], at))
        words, directions = STAGE_DIRECTION.subn("", line)
        talk.stage_directions += directions
        if at is not None:
            talk.negative_time_steps += at < latest
            latest = at
            if talk.turns[-1].start_s is None:
                talk.turns[-1].start_s = at
        if words.strip():
            _say(talk.turns[-1], number, one_line(words), new=blank)
        blank = not line and at is None
    talk.turns = [turn for turn in talk.turns if turn.paragraphs]
    return talk


def _say(turn: Turn, number: int, words: str, *, new: bool) -> None:
    if new or not turn.paragraphs:
        turn.paragraphs.append((number, [words]))
    else:
        turn.paragraphs[-1][1].append(words)


def _entries(talk: Talk, content_type: str, uri: str) -> list[Entry]:
    lecturer = _lecturer(talk)
    title = talk.heading.get("title") or PurePosixPath(uri).stem.replace("_", " ").replace("-", " ")
    made = content_type or _content_type(lecturer, talk.heading)
    about = {key: talk.heading[key] for key in ("topic", "language", "course", "date") if key in talk.heading}
    counts = {"stage_directions": talk.stage_directions, "negative_time_steps": talk.negative_time_steps}
    about |= {key: str(value) for key, value in counts.items() if value}
    about |= {"title": title, "speaker": lecturer, "recording": uri, "category": "lecture"}
    found: list[Entry] = []
    asked: list[str] = []
    for turn in talk.turns:
        if turn.speaker != lecturer:
            asked += turn.texts
            continue
        for text, paragraph in passages(turn.texts):
            part = str(len(found) + 1)
            question = "\n".join(asked) or questions.ask(questions.LECTURE, uri + part, title=title, part=part)
            told = about | {"question": EXTRACTED if asked else CONTEXTUAL, "start": _clock(turn.start_s)}
            line = turn.paragraphs[paragraph][0]
            found.append(Entry(line, question, text, {k: v for k, v in told.items() if v}, content_type=made))
            asked = []
    if asked:
        found[-1] = replace(found[-1], metadata={**found[-1].metadata, "unanswered_turns": str(len(asked))})
    return found


def _lecturer(talk: Talk) -> str:
    words: Counter[str] = Counter()
    for turn in talk.turns:
        words[turn.speaker] += sum(len(text.split()) for text in turn.texts)
    named = talk.heading.get("speaker", "")
    return named if named in words else max(words, key=lambda speaker: (words[speaker], speaker))


def _content_type(lecturer: str, heading: Mapping[str, str]) -> str:
    return "psychologist_voice" if HELPERS.search(f"{lecturer} {heading.get('role', '')}") else "speech"


def _heading(lines: list[str]) -> tuple[dict[str, str], int]:
    """The `key: value` lines that open a file, between rules or not, and where the talk begins."""
    found: dict[str, str] = {}
    for number, raw in enumerate(lines):
        line = raw.strip()
        pair = KEY_VALUE.match(line)
        key = pair["key"].casefold() if pair else ""
        if pair and key in HEADING_KEYS and (pair["key"].islower() or key not in ROLES):
            found[key] = pair["value"].strip("\"'")
        elif line.startswith("# "):
            found.setdefault("title", line.lstrip("# "))
        elif line and set(line) != {"-"}:
            return found, number
    return found, len(lines)


def _speakers(lines: list[str], heading: Mapping[str, str]) -> set[str]:
    """Labels that stand at least twice, are a role, or are named in the heading: prose has colons too."""
    seen: Counter[str] = Counter()
    for raw in lines:
        if found := SPEAKER.match(_time(raw.strip())[1]):
            seen[found["speaker"]] += 1
    named = heading.get("speaker")
    several = {s for s, n in seen.items() if n > 1 and s.casefold() not in NO_SPEAKERS}
    return several | {s for s in seen if s.casefold().split()[0] in ROLES or s == named}


def _time(line: str) -> tuple[float | None, str]:
    found = TIMED.match(line)
    return (_seconds(found["time"]), found["rest"]) if found else (None, line)


def _seconds(stamp: str | None) -> float | None:
    if stamp is None:
        return None
    total = 0.0
    for part in stamp.replace(",", ".").split(":"):
        total = total * 60 + float(part)
    return total


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"
