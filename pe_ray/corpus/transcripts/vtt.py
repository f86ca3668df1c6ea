"""WebVTT as transcripts use it: notes, cues with a speaker (`<v Name>`), or captions that name nobody.

Our own few lines, because the common parser (webvtt-py) passes over a cue that it cannot read without a word, and a
ledger needs to know. Format: https://www.w3.org/TR/webvtt1/
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pe_ray.corpus.transcripts import captions
from pe_ray.corpus.transcripts.blocks import blocks, timing
from pe_ray.corpus.transcripts.captions import Caption
from pe_ray.corpus.transcripts.cue import Problem, Transcript, add

VOICE = re.compile(r"<v(?:\.[^\s<>]{1,80})?\s+([^<>]{1,200})>")
NOTE_LINE = re.compile(r"^\s*([a-z_]+)\s*:\s*(\S.*)$")
HEADER_LINE = re.compile(r"^(Kind|Language)\s*:\s*(\S+)\s*$")


def parse(words: str) -> Transcript:
    """Read a WebVTT text; what cannot be read stands in `problems`, never nowhere."""
    transcript = Transcript()
    found = list(blocks(words))
    line, head = found[0] if found else (1, [""])
    if not head[0].lstrip("\ufeff").startswith("WEBVTT"):
        transcript.problems.append(Problem(line, "header", "is not WEBVTT; a WebVTT file begins with that word"))
        return transcript
    transcript.notes.update((m[1].lower(), m[2]) for m in map(HEADER_LINE.match, head[1:]) if m)
    read = [_caption(at, block, number) for number, (at, block) in enumerate(_cues(transcript, found[1:]), start=1)]
    if any(isinstance(c, Caption) and VOICE.search(c.payload) for c in read):
        for item in read:
            _voices(transcript, item)
        return transcript
    transcript.problems += [item for item in read if isinstance(item, Problem)]
    captions.fill(transcript, [item for item in read if isinstance(item, Caption)])
    return transcript


def _cues(transcript: Transcript, found: Sequence[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The blocks that should be cues; notes are read, styles passed over."""
    rest = []
    for line, block in found:
        if re.match(r"NOTE(\s|$)", block[0]):
            transcript.notes.update((m[1], m[2].strip()) for m in map(NOTE_LINE.match, block) if m)
        elif not block[0].startswith(("STYLE", "REGION")):
            rest.append((line, block))
    return rest


def _caption(line: int, block: Sequence[str], number: int) -> Caption | Problem:
    at = next((i for i, text in enumerate(block[:2]) if "-->" in text), None)
    if at is None:
        return Problem(line, "timing", "is missing; 00:00:01.000 --> 00:00:02.500 is wanted above the words")
    times = timing(block[at])
    if times is None:
        return Problem(line + at, "timing", "cannot be read; 00:00:01.000 --> 00:00:02.500 is wanted")
    if len(block) == at + 1:
        return Problem(line + at + 1, "text", "is missing below the times; the file may be cut here")
    return Caption(number, line + at + 1, *times, tuple(block[at + 1 :]))


def _voices(transcript: Transcript, item: Caption | Problem) -> None:
    """The cues of a caption whose words are named, in several pieces where it holds several voices."""
    if isinstance(item, Problem):
        transcript.problems.append(item)
        return
    ahead, *voices = VOICE.split(item.payload)
    if not voices or ahead.strip() or not all(name.strip() for name in voices[::2]):
        problem = "is missing; write the words as <v Speaker>words, as other cues of the file are"
        transcript.problems.append(Problem(item.line, "speaker", problem))
        return
    for name, said in zip(voices[::2], voices[1::2], strict=True):
        add(transcript, item.number, item.line, item.times, name, said)
