"""Of what was spoken, half the kept records have a question that somebody asked, and half one that was formed for them.

Only records of speech count: elsewhere a question is what the row holds. A question cannot be taken from an answer that
has it, nor asked where nobody did, so the share is kept by choosing records. By default as near as what was read
allows; with `strict`, what is too much of one kind is rejected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pe_ray.config import QuestionConfig
from pe_ray.corpus.balance import choose

SPEECH = ("psychologist_voice", "transcript", "interview", "podcast", "monologue", "speech")
EXTRACTED, CONTEXTUAL = "extracted", "contextual"

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Halves:
    """Kept records of speech by where their question is from, and whether the share is as it should be."""

    extracted: int
    contextual: int
    target: float
    tolerance: float

    @classmethod
    def of(cls, kinds: Mapping[str, Mapping[str, int]], config: QuestionConfig) -> Halves:
        """From counts by content type and kind of question."""
        found = [sum(kinds.get(kind, {}).get(question, 0) for kind in SPEECH) for question in (EXTRACTED, CONTEXTUAL)]
        return cls(*found, config.contextual_share, config.tolerance)

    @property
    def share(self) -> float | None:
        """Of contextual questions; None where nothing was spoken."""
        total = self.extracted + self.contextual
        return self.contextual / total if total else None

    @property
    def kept_to(self) -> bool:
        """Within the tolerance; one record of an odd number is no fault."""
        total = self.extracted + self.contextual
        return not total or abs(self.contextual - self.target * total) <= max(self.tolerance * total, 0.5)


def split(extracted: int, contextual: int, size: int, share: float) -> tuple[int, int]:
    """How many of each kind make `size` with a share as near as there are enough of."""
    wanted = min(contextual, max(round(size * share), size - extracted))
    return size - wanted, wanted


def largest(extracted: int, contextual: int, share: float) -> tuple[int, int]:
    """The most records of each kind that keep to the share."""
    if not 0 < share < 1:
        return (extracted, 0) if share <= 0 else (0, contextual)
    size = int(min(extracted / (1 - share), contextual / share) + 1e-9)
    return split(extracted, contextual, size, share)


def chosen(ids: pa.ChunkedArray, contextual: NDArray[np.bool_], wanted: int, share: float) -> NDArray[np.int32]:
    """Copies of each record of a source, `wanted` in all, with the share of questions that is asked for."""
    if wanted >= len(contextual):
        return choose(ids, wanted)
    copies = np.zeros(len(contextual), np.int32)
    counts = split(int((~contextual).sum()), int(contextual.sum()), wanted, share)
    for rows, count in zip((np.flatnonzero(~contextual), np.flatnonzero(contextual)), counts, strict=True):
        copies[rows] = choose(ids.take(pa.array(rows)), count)
    return copies


def surplus(ids: pa.ChunkedArray, contextual: NDArray[np.bool_], share: float) -> Rows:
    """Rows that are too many of their kind for the share to hold, those of the last rank first."""
    kept = largest(int((~contextual).sum()), int(contextual.sum()), share)
    over = []
    for rows, count in zip((np.flatnonzero(~contextual), np.flatnonzero(contextual)), kept, strict=True):
        over.append(rows[choose(ids.take(pa.array(rows)), count) == 0])
    return np.concatenate(over)
