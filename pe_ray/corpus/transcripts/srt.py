"""SubRip (.srt): a number, a line of two times with comma milliseconds, and lines of words.

Speakers, where there are any, stand in the words: see `captions.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pe_ray.corpus.transcripts import captions
from pe_ray.corpus.transcripts.blocks import blocks, timing
from pe_ray.corpus.transcripts.captions import Caption
from pe_ray.corpus.transcripts.cue import Problem, Transcript

WANTED = "00:00:01,000 --> 00:00:02,500 is wanted"


def parse(words: str) -> Transcript:
    """Read an SRT text; a block that is no caption is a problem with its line."""
    transcript = Transcript()
    found: list[Caption] = []
    for number, (line, block) in enumerate(blocks(words.removeprefix("\ufeff")), start=1):
        item = _caption(line, block, number)
        if isinstance(item, Problem):
            transcript.problems.append(item)
        else:
            found.append(item)
    captions.fill(transcript, found)
    return transcript


def _caption(line: int, block: Sequence[str], number: int) -> Caption | Problem:
    at = next((i for i, text in enumerate(block[:2]) if "-->" in text), None)
    if at is None:
        return Problem(line, "timing", f"is missing; a number, and below it {WANTED} above the words")
    times = timing(block[at])
    if times is None:
        return Problem(line + at, "timing", f"cannot be read; {WANTED}")
    if len(block) == at + 1:
        return Problem(line + at + 1, "text", "is missing below the times; the file may be cut here")
    return Caption(number, line + at + 1, *times, tuple(block[at + 1 :]))
