"""Which profile a run should take: the one that is predicted to finish first among those that fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TIE = 1.05
"""Two profiles this close in predicted finish are told apart by context: the longer one learns from more."""


@dataclass(frozen=True)
class Choice:
    """The chosen profile and why, in words a person can check against the trials."""

    profile: str
    why: str


def choose(trials: Sequence[Mapping[str, Any]], contexts: Mapping[str, int], budget_s: float) -> Choice:
    """Pick among measured trials ({"profile", "predicted_finish_s", "fits", "reason"}).

    `budget_s` is what the window leaves for training. Raises ValueError if no profile fits, with every reason.
    """
    fitting = [t for t in trials if t["fits"]]
    if not fitting:
        reasons = "; ".join(f"{t['profile']}: {t['reason']}" for t in trials)
        raise ValueError(f"no profile fits this machine ({reasons}); lower train.context or use a smaller base")
    soonest = min(t["predicted_finish_s"] for t in fitting)
    near = [t for t in fitting if t["predicted_finish_s"] <= soonest * TIE]
    best = max(near, key=lambda t: (contexts[t["profile"]], -t["predicted_finish_s"]))
    why = f"{best['profile']} is predicted to finish in {best['predicted_finish_s']:.0f} s"
    others = [t for t in fitting if t is not best]
    if others:
        why += ", against " + ", ".join(f"{t['predicted_finish_s']:.0f} s for {t['profile']}" for t in others)
    if len(near) > 1:
        why += f"; among those within {TIE - 1:.0%} it has the longest context"
    if best["predicted_finish_s"] > budget_s:
        why += f"; that is past the {budget_s:.0f} s that the window leaves, so the window will end the run"
    return Choice(best["profile"], why)
