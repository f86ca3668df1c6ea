"""Does a message resemble one of danger, though no rule has spoken? The second tier of triage.

    read(["..."])  ->  [Sign("child_abuse", sure=True)]

A small model (`learn/tasks/crisis.py`) that may raise a message to level 2, where it is asked about, and never lowers
what the rules have found. A text that it cannot judge (another language, code, no words) gives nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pe_ray.safety.learn.abstain import MAX_CHARS, reasons
from pe_ray.safety.learn.model import Model, load, read_card, shipped
from pe_ray.safety.rules import TRIAGE_FILES

TASK = "crisis"
LONG_WORDS, PIECE_WORDS = 45, 25
"""The model has learnt from short messages: a longer one is read in pieces of whole sentences."""
MOST_PIECES = 400
SENTENCE_END = re.compile(r"(?<=[.?!\n])\s+")


@dataclass(frozen=True)
class Sign:
    """The class that a message resembles most; `sure` is level 2, otherwise it counts only with others."""

    group: str
    sure: bool


def read(texts: Sequence[str]) -> list[Sign | None]:
    """The sign in each text; texts of any kind and length."""
    model = _model()
    whole = [text[:MAX_CHARS] for text in texts]
    fit = [n for n, why in enumerate(reasons(whole, model.min_words)) if not why]
    parts = [(n, piece) for n in fit for piece in pieces(whole[n])]
    found: list[Sign | None] = [None] * len(texts)
    if not parts:
        return found
    probability_PL = model.probabilities([piece for _, piece in parts])
    danger, sign = model.head.thresholds[:2]
    best: dict[int, float] = {}
    first = len(model.labels) - len(TRIAGE_FILES)
    for (n, _), row in zip(parts, probability_PL, strict=True):
        if row[1] >= sign and row[0] > best.get(n, -1.0):
            best[n] = row[0]
            found[n] = Sign(TRIAGE_FILES[int(row[first:].argmax())], bool(row[0] >= danger))
    return found


def pieces(text: str) -> list[str]:
    """A short text as it is; a long one as runs of sentences."""
    if text.count(" ") < LONG_WORDS:
        return [text]
    runs: list[str] = []
    run: list[str] = []
    for sentence in SENTENCE_END.split(text):
        run.append(sentence)
        if sum(s.count(" ") + 1 for s in run) >= PIECE_WORDS:
            runs.append(" ".join(run))
            run = []
    return [*runs, " ".join(run)][:MOST_PIECES] if run else runs[:MOST_PIECES]


@cache
def version() -> str:
    """Part of the version of triage, for cache keys."""
    return str(read_card(shipped() / TASK)["weights"]["sha256"][:8])


@cache
def _model() -> Model:
    return load(TASK)
