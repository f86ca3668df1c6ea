"""Utterances as CSV, a row each, of one recording or many: columns are found by the names that people give them.

    transcript_id,interlocutor,timestamp,utterance_text
    7,therapist,00:00:13,How has the week been?

Read by our own few lines over `csv`, so that a quote that is opened and never closed costs its own row and not the rest
of the file. A row that repeats an utterance (corpora with several annotators have one for each) is said once. Where
only the start is known, an utterance lasts until the next one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pe_ray.corpus.row import Fault
from pe_ray.corpus.transcripts.blocks import clock
from pe_ray.corpus.transcripts.cue import Problem, Transcript, add

COLUMNS = {
    "text": ("utterance_text", "utterance", "text", "transcript_text", "transcript", "words", "content", "sentence"),
    "speaker": ("interlocutor", "speaker", "speaker_label", "speaker_name", "participant", "role", "who"),
    "start": ("timestamp", "start", "start_time", "start_s", "begin", "time"),
    "end": ("end", "end_time", "end_s", "stop"),
    "transcript": ("transcript_id", "session_id", "conversation_id", "recording_id", "dialogue_id", "file_id"),
    "utterance": ("utterance_id", "turn_id", "utterance_index"),
    "confidence": ("confidence", "asr_confidence", "avg_confidence"),
    "title": ("title", "video_title"),
    "recording": ("recording", "video_url", "video_id", "audio_file"),
    "language": ("language", "lang"),
    "content_type": ("content_type",),
    "topic": ("topic",),
}
"""What a column may be called; the first name that is there counts."""
NOTES = ("title", "recording", "language", "content_type", "topic")
MAX_LINES = 200
"""Lines that one quoted row may span; a quote that is open for longer was never closed."""
OPEN_QUOTE = "opens a quote that is not closed; a quote inside a cell is written twice"


@dataclass(frozen=True)
class Line:
    """A row and the line on which it begins; `problem` if it is none."""

    number: int
    cells: tuple[str, ...] = ()
    problem: str = ""


def parse(words: str) -> list[Transcript]:
    """The recordings of a CSV text, in the order in which they begin."""
    rows = _rows(words.removeprefix("\ufeff"))
    head = next(rows, Line(1))
    names = [" ".join(c.split()).casefold().replace(" ", "_").replace("-", "_") for c in head.cells]
    at = {key: names.index(n) for key, known in COLUMNS.items() if (n := next((k for k in known if k in names), None))}
    if "text" not in at:
        wanted = ", ".join(COLUMNS["text"][:3])
        return [Transcript(problems=[Problem(1, "header", f"has no column of words; one of {wanted} ... is wanted")])]
    found: dict[str, Transcript] = {}
    seen: dict[tuple[str, str, str], tuple[Transcript, int]] = {}
    name = ""
    for row in rows:
        cell = {key: row.cells[i].strip() for key, i in at.items() if i < len(row.cells)}
        name = cell.get("transcript", name)  # a broken row counts for the recording in which it stands
        transcript = found.setdefault(name, Transcript(name=name, timed="start" in at))
        try:
            _utterance(transcript, row, cell, "speaker" in at, seen)
        except Fault as fault:
            transcript.problems.append(Problem(row.number, fault.name, fault.reason))
    for transcript in found.values():
        if "end" not in at:
            _until_the_next(transcript)
    return list(found.values()) or [Transcript()]


def _utterance(
    transcript: Transcript,
    row: Line,
    cell: dict[str, str],
    named: bool,
    seen: dict[tuple[str, str, str], tuple[Transcript, int]],
) -> None:
    if row.problem:
        raise Fault("row", row.problem)
    if not cell["text"]:
        raise Fault("text", "is empty; what was said is wanted")
    if named and not cell["speaker"]:
        raise Fault("speaker", "is empty; who says this is wanted")
    key = (transcript.name, cell.get("utterance", ""), cell["text"])
    if cell.get("utterance") and key in seen:
        _again(*seen[key])
        return
    times, confidence = _times(cell), _confidence(cell)
    for note in NOTES:
        if cell.get(note):
            transcript.notes.setdefault(note, cell[note])
    before = len(transcript.cues)
    add(transcript, row.number, row.number, times, cell.get("speaker", ""), cell["text"], confidence=confidence)
    if len(transcript.cues) > before:
        seen[key] = (transcript, before)


def _again(transcript: Transcript, position: int) -> None:
    cue = transcript.cues[position]
    transcript.cues[position] = replace(cue, folded=cue.folded + 1)


def _times(cell: dict[str, str]) -> tuple[float, float]:
    if "start" not in cell:
        return 0.0, 0.0
    start = clock(cell["start"])
    if start is None:
        raise Fault("timestamp", "is no time; 00:01:13, 1:13.5 or 73.5 is wanted")
    end = clock(cell["end"]) if cell.get("end") else start
    if end is None:
        raise Fault("end", "is no time; 00:01:13, 1:13.5 or 73.5 is wanted")
    return start, end


def _confidence(cell: dict[str, str]) -> float | None:
    words = cell.get("confidence", "")
    if not words:
        return None
    value = clock(words)
    if value is None or ":" in words or value > 1:
        raise Fault("confidence", "is no number from 0 to 1")
    return value


def _until_the_next(transcript: Transcript) -> None:
    """Only starts are known: an utterance ends where the next begins, unless that is earlier."""
    starts = [cue.start_s for cue in transcript.cues[1:]]
    for position, following in enumerate(starts):
        cue = transcript.cues[position]
        transcript.cues[position] = replace(cue, end_s=max(cue.start_s, following))


def _rows(words: str) -> Iterator[Line]:
    """Rows with the line that they begin on; empty lines are none.

    A row over several lines that turns out to be none costs its first line alone: the others are read again.
    """
    lines = words.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at, width = 0, 0
    while at < len(lines):
        used = _balanced(lines, at)
        row = _row("\n".join(lines[at : at + used]), at + 1, width) if used else Line(at + 1, problem=OPEN_QUOTE)
        if row:
            width = width or len(row.cells)
            yield row
        at += 1 if row and row.problem else used


def _balanced(lines: Sequence[str], at: int) -> int:
    """How many lines one row has: up to an even number of quotes; 0 if there is no such line in reach."""
    quotes = 0
    for used in range(1, min(MAX_LINES, len(lines) - at) + 1):
        quotes += lines[at + used - 1].count('"')
        if quotes % 2 == 0:
            return used
    return 0


def _row(joined: str, number: int, width: int) -> Line | None:
    """The row of a text, None if it is empty; `width` is how many cells the header has, 0 for the header itself."""
    if not joined.strip():
        return None
    try:
        cells = next(csv.reader([joined], strict=True))
    except csv.Error as error:
        return Line(number, problem=f"is no row of a CSV: {error}")
    wrong = bool(width) and len(cells) != width
    return Line(number, tuple(cells), f"has {len(cells)} cells; {width} are wanted, as in the header" if wrong else "")
