"""Was this speech heard, timed and written down well? A row check of transcripts; other records get no verdict.

The score is 1 less the weighed damages of the table below. Each damage grows from 0 at `fine` to its whole weight at
`bad`, is counted only where the record has the figure, and stands in the reason. One grave damage, or several smaller
ones, bring a record below the threshold; a caption track without capitals and full stops stays above it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import eq

from pe_ray.record import Record, Verdict

NAME = "transcription"
DEFAULT_MIN = 0.5
CONTENT_TYPES = ("psychologist_voice", "transcript", "interview", "podcast", "monologue", "speech")


@dataclass(frozen=True)
class Damage:
    """A figure, what it costs at worst, and where it begins and ends to cost."""

    name: str
    weight: float
    fine: float
    bad: float

    def cost(self, value: float) -> float:
        return self.weight * min(1.0, max(0.0, (value - self.fine) / (self.bad - self.fine)))


DAMAGES = (
    Damage("confidence", 0.60, 0.85, 0.45),  # the recogniser's own, mean over words
    Damage("words_not_speech", 0.40, 0.0, 0.5),  # share of words where it heard nobody
    Damage("words_compressing", 0.55, 0.0, 0.5),  # share of words in segments that compress like a loop
    Damage("words_looping", 0.60, 0.02, 0.25),  # share of words that repeat the phrase just said, again and again
    Damage("unheard_per_100_words", 0.60, 1.5, 12.0),  # [unintelligible], [inaudible], [crosstalk]
    Damage("times_backwards", 0.40, 0.1, 0.6),  # share of cues
    Damage("words_per_s", 0.55, 4.5, 8.0),  # faster than anybody speaks: words or times are wrong
    Damage("s_per_word", 0.25, 2.0, 8.0),  # slower than a conversation with pauses: words are missing
    Damage("one_case", 0.12, 0.0, 1.0),  # all small or all capital letters
    Damage("no_punctuation", 0.12, 0.0, 1.0),
    Damage("labels_in_doubt", 0.25, 0.0, 1.0),  # words and speaker labels disagree over a run of turns
)
MIN_WORDS = 30
"""Below it, case and punctuation say nothing."""
MIN_TIMED_WORDS = 10
LOOPS = {1: 4, 2: 3, 3: 3, 4: 3, 5: 3, 6: 3}
"""A phrase of so many words is a loop from so many times in a row; "no, no, no" is talk."""

WORD = re.compile(r"\w[\w'’]*")  # twice as fast as one that parts words at an underscore


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict | None:
    """Quality in 0..1 of a transcript; None for a record that is none."""
    if record.source != "voice" and record.content_type not in CONTENT_TYPES:
        return None
    figures = measure(record)
    score = round(max(0.0, 1 - sum(d.cost(figures[d.name]) for d in DAMAGES if d.name in figures)), 4)
    known = ", ".join(f"{d.name} {figures[d.name]:.2f}" for d in DAMAGES if d.name in figures)
    return Verdict(NAME, score, score >= minimum, known)


def measure(record: Record) -> dict[str, float]:
    """The figures of a transcript by the names in `DAMAGES`, as far as they are known."""
    said = _spoken(record)
    words = WORD.findall(said.casefold())
    facts = record.metadata
    figures = _recogniser(facts) | _timing(facts, len(words))
    figures["words_looping"] = looping(words)
    figures["unheard_per_100_words"] = 100 * _number(facts, "unheard") / max(1, len(words))
    if len(words) >= MIN_WORDS:
        figures["one_case"] = float(said in (said.lower(), said.upper()) and said.lower() != said.upper())
        figures["no_punctuation"] = float(not re.search(r"[.,?!。！？،؟]", said))
    if "speaker_swaps" in facts:
        figures["labels_in_doubt"] = 1.0
    return figures


def looping(words: Sequence[str]) -> float:
    """The share of words that only repeat the phrase ahead of them, the commonest length of phrase counting."""
    most = 0
    for size, times in LOOPS.items():
        same = list(map(eq, words, words[size:]))
        if sum(same) >= size * (times - 1):
            most = max(most, _in_runs(same, size * (times - 1)))
    return most / max(1, len(words))


def _in_runs(same: Sequence[bool], least: int) -> int:
    """How many of these are true in runs of at least `least`."""
    runs = (sum(1 for _ in run) for value, run in groupby(same) if value)
    return sum(n for n in runs if n >= least)


def _spoken(record: Record) -> str:
    """What was said, without a question that was written for a passage."""
    if record.metadata.get("question") == "contextual":
        return record.text_of("assistant")
    return "\n".join(m.text for m in record.messages)


def _recogniser(facts: Mapping[str, str]) -> dict[str, float]:
    names = {"confidence": "asr_confidence", "words_not_speech": "no_speech", "words_compressing": "loops"}
    return {name: _number(facts, key) for name, key in names.items() if key in facts}


def _timing(facts: Mapping[str, str], num_words: int) -> dict[str, float]:
    found = {}
    if cues := _number(facts, "cues"):
        found["times_backwards"] = _number(facts, "negative_time_steps") / cues
    lasted_s = _number(facts, "end") - _number(facts, "start")
    if lasted_s > 0 and num_words >= MIN_TIMED_WORDS:
        found["words_per_s"] = num_words / lasted_s
        found["s_per_word"] = lasted_s / num_words
    return found


def _number(facts: Mapping[str, str], name: str) -> float:
    try:
        return float(facts.get(name, "0"))
    except ValueError:  # another source may use the name for something else
        return 0.0
