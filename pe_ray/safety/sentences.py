"""The likeliest sentence of a text, by a small model that reads one sentence at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pe_ray.safety.learn.abstain import reasons
from pe_ray.safety.learn.model import Model

SENTENCE = re.compile(r"[^.?!\n]+[.?!]*")
MOST_SENTENCES = 200
"""Of one text."""


@dataclass(frozen=True)
class Sign:
    """The likeliest sentence, by its characters."""

    probability: float
    start: int
    end: int


def likeliest(model: Model, texts: Sequence[str], chosen: Callable[[str], bool]) -> list[Sign | None]:
    """By the model's first label, over the sentences that are chosen; None where there is none to judge."""
    parts = [(n, *part) for n, text in enumerate(texts) for part in _parts(text, chosen)]
    why = reasons([part for *_, part in parts], model.min_words)
    fit = [part for part, reason in zip(parts, why, strict=True) if not reason]
    found: list[Sign | None] = [None] * len(texts)
    for (n, start, part), row in zip(fit, model.probabilities([p for *_, p in fit]).tolist(), strict=True):
        known = found[n]
        if known is None or row[0] > known.probability:
            found[n] = Sign(round(row[0], 4), start, start + len(part))
    return found


def _parts(text: str, chosen: Callable[[str], bool]) -> list[tuple[int, str]]:
    """(offset, sentence) of those that are chosen, without the space before them."""
    told = ((m.end() - len(m.group().lstrip()), m.group().lstrip()) for m in SENTENCE.finditer(text))
    return [(start, part) for start, part in told if part and chosen(part)][:MOST_SENTENCES]
