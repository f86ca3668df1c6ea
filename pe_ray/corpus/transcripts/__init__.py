"""Transcripts of speech in the formats that they come in, all read to the same `Transcript`."""

from __future__ import annotations

from pe_ray.corpus.transcripts import asr, srt, utterances, vtt, youtube
from pe_ray.corpus.transcripts.cue import Problem, Transcript
from pe_ray.corpus.transcripts.jsontext import load

SUFFIXES = (".vtt", ".srt", ".json", ".csv")


def parse(words: str, suffix: str) -> list[Transcript]:
    """The recordings of a file: one, but for a CSV, which may hold several. What cannot be read is in `problems`."""
    if suffix == ".csv":
        return utterances.parse(words)
    return [{".vtt": vtt.parse, ".srt": srt.parse, ".json": _json}[suffix](words)]


def _json(words: str) -> Transcript:
    data, cut = load(words)
    if isinstance(data, list):
        transcript = youtube.from_list(data)
    elif isinstance(data, dict) and "events" in data:
        transcript = youtube.from_events(data)
    elif isinstance(data, dict) and asr.items_of(data) is not None:
        transcript = asr.from_object(data)
    else:
        transcript = Transcript()
        if not cut:
            wanted = "a list of texts with start and duration, or an object with events, segments or utterances"
            transcript.problems.append(Problem(0, "json", f"is no transcript; {wanted} is wanted"))
    if cut:
        transcript.problems.append(cut)
    return transcript
