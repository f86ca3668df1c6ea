"""Where questions and answers stand: characters in the words of a recording.

The words of a recording are those of all its cues, each word parted from the next by one space. A span is `start:end`,
counted in them from 0; what was interrupted has several, parted by commas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pe_ray.corpus.transcripts.cue import Cue
from pe_ray.corpus.transcripts.passages import Sentence

Span = tuple[int, int]


class Words:
    """The words of a recording, and where each of its cues begins in them."""

    def __init__(self, cues: Sequence[Cue]) -> None:
        said = [(cue.number, " ".join(cue.text.split())) for cue in cues]
        self.starts: dict[int, int] = {}
        at = 0
        for number, text in said:
            self.starts.setdefault(number, at)
            at += len(text) + 1 if text else 0
        self.text = " ".join(text for _, text in said if text)

    def of(self, sentences: Iterable[Sentence]) -> list[Span]:
        """The spans of sentences; neighbours are one."""
        found: list[Span] = []
        for sentence in sentences:
            (first, start), (last, end) = sentence.start, sentence.end
            begin, stop = self.starts[first] + start, self.starts[last] + end
            if found and begin <= found[-1][1] + 1:
                found[-1] = (found[-1][0], stop)
            else:
                found.append((begin, stop))
        return found

    def cut(self, written: str) -> list[str]:
        """The words of spans as they were written."""
        return [self.text[a:b] for a, b in (map(int, part.split(":")) for part in written.split(",") if part)]


def written(spans: Iterable[Span]) -> str:
    """Spans as a record's metadata holds them."""
    return ",".join(f"{start}:{end}" for start, end in spans)
