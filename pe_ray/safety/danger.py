"""Does a message resemble one of danger, though no rule has spoken? The second tier of triage.

    read(["..."])  ->  [Sign("child_abuse", level=2)]

A small model (`learn/tasks/crisis.py`) that may raise a message to level 2, where it is asked about, or to 3, where it
is very sure of an active danger; it never lowers what the rules have found. A text that it cannot judge (another
language, code, no words) gives nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from pe_ray.safety import larger
from pe_ray.safety.learn.abstain import MAX_CHARS, reasons
from pe_ray.safety.learn.head import Floats
from pe_ray.safety.learn.model import Model, load, read_card, shipped
from pe_ray.safety.rules import TRIAGE_FILES

TASK = "crisis"
LONG_WORDS, PIECE_WORDS, RUN_ON_WORDS = 45, 25, 90
"""The model has learnt from short messages: a longer one is read in pieces of whole sentences, and a sentence that goes
on for longer than that is cut."""
MOST_PIECES = 400
SENTENCE_END = re.compile(r"(?<=[.?!\n])\s+")


@dataclass(frozen=True)
class Sign:
    """The class that a message resembles most, and the level that it has by itself; 0: it counts only with others."""

    group: str
    level: int


def read(texts: Sequence[str]) -> list[Sign | None]:
    """The sign in each text; texts of any kind and length. Of the small model and a larger one the graver counts."""
    found = _small(texts)
    for n, heard in enumerate(larger.read([text[:MAX_CHARS] for text in texts]) if larger.present() else ()):
        known = found[n]
        if heard is not None and (known is None or heard[1] > known.level):
            found[n] = Sign(*heard)
    return found


def _small(texts: Sequence[str]) -> list[Sign | None]:
    model = _model()
    whole = [text[:MAX_CHARS] for text in texts]
    fit = [n for n, why in enumerate(reasons(whole, model.min_words)) if not why]
    parts = [(n, part) for n in fit for piece in pieces(whole[n]) for part in _bounded(piece)]
    found: list[Sign | None] = [None] * len(texts)
    if not parts:
        return found
    probability_PL = model.probabilities([piece for _, piece in parts])
    num_pieces = Counter(n for n, _ in parts)
    best: dict[int, float] = {}
    first = len(model.labels) - len(TRIAGE_FILES)
    least = model.head.thresholds[:2].min()  # under it nothing is said, however many pieces there are
    for p in np.flatnonzero(probability_PL[:, :2].max(axis=1) >= least).tolist():
        n, row = parts[p][0], probability_PL[p]
        level = _level(row, model.head.thresholds, num_pieces[n])
        if level is not None and row[0] + level > best.get(n, -1.0):
            best[n] = row[0] + level
            found[n] = Sign(TRIAGE_FILES[int(row[first:].argmax())], level)
    return found


def _level(probability_L: Floats, threshold_L: Floats, num_pieces: int) -> int | None:
    """The level of one of so many pieces. Each has to be surer by their number: else a long calm letter, which is read
    many times over, would be taken for a danger as many times as often."""

    def holds(label: int) -> bool:
        said, wanted = float(probability_L[label]), float(threshold_L[label])
        return said * (1 - wanted) >= num_pieces * wanted * (1 - said)

    danger, sign, grave = range(3)
    if holds(danger):
        return 3 if holds(grave) else 2
    return 0 if holds(sign) else None


def pieces(text: str) -> list[str]:
    """A short text as it is; a long one as runs of sentences."""
    if text.count(" ") < LONG_WORDS:
        return [text]
    runs: list[str] = []
    run: list[str] = []
    words = 0
    for sentence in SENTENCE_END.split(text):
        run.append(sentence)
        words += sentence.count(" ") + 1
        if words >= PIECE_WORDS:
            runs.append(" ".join(run))
            run, words = [], 0
    return [*runs, " ".join(run)][:MOST_PIECES] if run else runs[:MOST_PIECES]


def _bounded(piece: str) -> list[str]:
    """A piece, or runs of its words where it goes on and on without a full stop: the model is too sure of such."""
    if piece.count(" ") < RUN_ON_WORDS:
        return [piece]
    words = piece.split()
    return [" ".join(words[i : i + LONG_WORDS]) for i in range(0, len(words), LONG_WORDS)]


@cache
def version() -> str:
    """Part of the version of triage, for cache keys."""
    return str(read_card(shipped() / TASK)["weights"]["sha256"][:8]) + larger.version()


@cache
def _model() -> Model:
    return load(TASK)
