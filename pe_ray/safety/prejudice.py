"""Does a sentence about a group resemble one that judges people by it? The second tier of bias, after the rules.

    read(["He came late. By nature men tend to fix things."])[0]  ->  Sign(probability=0.95, start=14, end=49)

A small model (`learn/tasks/bias.py`) reads those sentences alone that name a group from `data/groups.toml`; it does not
see which group that is. It is right too seldom to remove a text by itself (`docs/models/bias.md`), and a filter that
removes sentences about a group removes the group: what it finds is for a person to look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from pe_ray.safety.groups import names_group
from pe_ray.safety.learn.abstain import reasons
from pe_ray.safety.learn.model import Model, load
from pe_ray.safety.normalise import fold

TASK = "bias"
SURE = 0.8
"""From here on a sentence is told: one in fifty of the sentences about a group in answers of therapists."""
SENTENCE = re.compile(r"[^.?!\n]+[.?!]*")
MOST_SENTENCES = 200
"""Of one text."""


@dataclass(frozen=True)
class Sign:
    """The likeliest sentence of a text, by its characters."""

    probability: float
    start: int
    end: int


def read(texts: Sequence[str]) -> list[Sign | None]:
    """The likeliest sentence of each text; None where no sentence names a group, or none can be judged."""
    model = _model()
    parts = [(n, *part) for n, text in enumerate(texts) for part in _about_a_group(text)]
    why = reasons([part for *_, part in parts], model.min_words)
    fit = [part for part, reason in zip(parts, why, strict=True) if not reason]
    found: list[Sign | None] = [None] * len(texts)
    for (n, start, part), row in zip(fit, model.probabilities([p for *_, p in fit]).tolist(), strict=True):
        known = found[n]
        if known is None or row[0] > known.probability:
            found[n] = Sign(round(row[0], 4), start, start + len(part))
    return found


def _about_a_group(text: str) -> Iterator[tuple[int, str]]:
    """(offset, sentence) of the sentences that name a group."""
    if not names_group(fold(text).split()):
        return
    told = ((m.start(), m.group()) for m in SENTENCE.finditer(text))
    about = [(start, sentence) for start, sentence in told if names_group(fold(sentence).split())]
    yield from about[:MOST_SENTENCES]


@cache
def _model() -> Model:
    return load(TASK)
