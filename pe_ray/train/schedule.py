"""The learning rate: a function of the step and of the horizon in force, and of nothing else.

A run that is interrupted and goes on therefore has the rates of one that was not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WARMUP_SHARE = 0.03
"""Warm-up takes at most this share of the run."""


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up to `peak`, then a cosine to `peak * floor`."""

    peak: float
    floor: float = 0.1
    """Where the cosine ends, as a share of the peak."""
    warmup_steps: int = 1000

    def rate(self, step: int, horizon: int) -> float:
        """The rate of the step that follows `step` finished ones, when the run is expected to have `horizon`.

        The last step before the horizon, and every one past it, has the floor rate.
        """
        warmup = min(self.warmup_steps, int(WARMUP_SHARE * horizon))
        if step < warmup and step < horizon:
            return self.peak * (step + 1) / warmup
        progress = min(1.0, (step + 1 - warmup) / max(1, horizon - warmup))
        return self.peak * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress)))
