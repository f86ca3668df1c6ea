"""What is known about a piece of a transcript besides its words, as the strings of a record's metadata.

An empty string means nothing to tell, and is left out of the record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from pe_ray.corpus.transcripts.cue import UNHEARD, Cue
from pe_ray.corpus.transcripts.passages import Passage
from pe_ray.corpus.transcripts.turns import Exchange

NO_SPEECH = 0.6
"""Whisper's own limit: above it, a segment was probably no speech."""
COMPRESSION = 2.4
"""Whisper's own limit: a segment that compresses further probably runs in a loop."""


def of_exchange(exchange: Exchange, *, timed: bool = True) -> dict[str, str]:
    """Speakers, times and damage of an exchange."""
    murmurs = [c for c in exchange.back_channels if c.text]
    spoken = [{"cue": c.number, "speaker": c.speaker, "text": c.text} for c in murmurs]
    return _of_cues(exchange.cues, exchange.back_channels, timed) | {
        "speaker": ",".join(dict.fromkeys(t.speaker for t in exchange.asking)),
        "helper": ",".join(dict.fromkeys(t.speaker for t in exchange.helping)),
        "back_channels": json.dumps(spoken, ensure_ascii=False) if spoken else "",
        "speaker_swaps": _count(exchange.swapped),
    }


def of_passage(passage: Passage, *, timed: bool = True) -> dict[str, str]:
    """Times and damage of a passage."""
    return _of_cues(passage.cues, (), timed) | {"opening_words": _count(passage.opening_words)}


def _of_cues(cues: Sequence[Cue], beside: Sequence[Cue], timed: bool) -> dict[str, str]:
    """`beside`: cues that are no part of the words, whose stage directions count all the same."""
    start = min(c.start_s for c in cues)
    end = max(start, *(c.end_s for c in cues))
    directions = [d for c in (*cues, *beside) for d in c.stage_directions]
    return {
        "start": f"{start:.3f}" if timed else "",
        "end": f"{end:.3f}" if timed else "",
        "cues": str(len(cues)),
        "negative_time_steps": _count(sum(c.runs_backwards for c in cues)),
        "stage_directions": _count(len(directions)),
        "unheard": _count(sum(bool(UNHEARD.search(d)) for d in directions)),
        "folded": _count(sum(c.folded for c in cues)),
        "asr_confidence": _mean([(c.confidence, len(c.text.split())) for c in cues if c.confidence is not None]),
        "no_speech": _share(cues, [c for c in cues if c.no_speech is not None and c.no_speech > NO_SPEECH]),
        "loops": _share(cues, [c for c in cues if c.compression is not None and c.compression > COMPRESSION]),
    }


def _mean(weighed: Sequence[tuple[float, int]]) -> str:
    """Mean weighed by words, so that an "Mm" counts as what it is."""
    total = sum(max(1, n) for _, n in weighed)
    return f"{math.fsum(value * max(1, n) for value, n in weighed) / total:.3f}" if total else ""


def _share(cues: Sequence[Cue], of: Sequence[Cue]) -> str:
    """The share of words that stand in `of`."""
    said = sum(len(c.text.split()) for c in of)
    return f"{said / max(1, sum(len(c.text.split()) for c in cues)):.3f}" if said else ""


def _count(number: int) -> str:
    return str(number) if number else ""
