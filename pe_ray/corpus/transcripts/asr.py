"""What speech recognisers write: segments with times, words with confidences, sometimes a speaker.

    {"language": "en", "segments": [{"start", "end", "text", "avg_logprob", "no_speech_prob", "compression_ratio",
                                     "speaker", "words": [{"word", "probability"}]}]}
    {"utterances": [{"speaker", "start", "end", "text", "confidence"}]}       also below "results", as "transcript"

The confidence of a segment is what it says, else the mean over its words, else exp(avg_logprob).
"""

from __future__ import annotations

import math
from typing import Any

from pe_ray.corpus.row import Fault, kind
from pe_ray.corpus.transcripts.cue import Problem, Transcript, add
from pe_ray.corpus.transcripts.jsontext import number, seconds, share

NOTES = ("title", "language", "content_type", "helper", "recording")
Item = dict[str, Any]


def items_of(data: Item) -> Any:
    """The list of segments or utterances in an object, or None."""
    results = data.get("results")
    inside = results if isinstance(results, dict) else {}
    return next((d[k] for d in (data, inside) for k in ("utterances", "segments") if d.get(k) is not None), None)


def from_object(data: Item) -> Transcript:
    """Read an object that has `segments` or `utterances`."""
    transcript = Transcript(notes={k: data[k].strip() for k in NOTES if isinstance(data.get(k), str)})
    items = items_of(data)
    if not isinstance(items, list):
        transcript.problems.append(Problem(0, "segments", f"is {kind(items)}; a list is wanted"))
        return transcript
    objects = [item for item in items if isinstance(item, dict)]
    named = any(item.get("speaker") not in (None, "") for item in objects)
    transcript.timed = any(item.get("start") is not None for item in objects)
    for position, item in enumerate(items, start=1):
        try:
            _segment(transcript, item, position, named)
        except Fault as fault:
            transcript.problems.append(Problem(position, fault.name, fault.reason))
    return transcript


def _segment(transcript: Transcript, item: Any, position: int, named: bool) -> None:
    if not isinstance(item, dict):
        raise Fault("item", f"is {kind(item)}; an object is wanted")
    text = item.get("text", item.get("transcript"))
    if not isinstance(text, str) or not text.strip():
        raise Fault("text", f"is {kind(text) if not isinstance(text, str) else 'empty'}; what was said is wanted")
    speaker = _speaker(item) if named else ""
    signals = {
        "confidence": _confidence(item),
        "no_speech": share(item, "no_speech_prob"),
        "compression": number(item, "compression_ratio"),
    }
    add(transcript, position, position, _times(item, transcript.timed), speaker, text, **signals)


def _times(item: Item, timed: bool) -> tuple[float, float]:
    if not timed:
        return 0.0, 0.0
    start, end = seconds(item, "start"), seconds(item, "end")
    if start is None:
        raise Fault("start", "is missing; seconds from the beginning are wanted, as in the other segments")
    return start, start if end is None else end


def _speaker(item: Item) -> str:
    """The speaker's name; recognisers count speakers too, from 0."""
    value = item.get("speaker")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"Speaker {value}"
    if not isinstance(value, str) or not value.strip():
        raise Fault("speaker", "is missing; other segments of the file have one")
    return value


def _confidence(item: Item) -> float | None:
    given = share(item, "confidence")
    if given is not None:
        return given
    words = item.get("words")
    if isinstance(words, list):
        known = [share(w, "probability", "confidence", "score") for w in words if isinstance(w, dict)]
        heard = [k for k in known if k is not None]
        if heard:
            return math.fsum(heard) / len(heard)
    log = number(item, "avg_logprob")
    return math.exp(min(0.0, log)) if log is not None else None
