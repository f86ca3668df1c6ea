"""A small search over what matters most for quality: rank, learning rate, weight of the balance term.

Each trial is a short training of its own from the same base, scored by the held-out loss; Ray Tune's ASHA ends those
early that are behind (`job.search`). The space is data: a row for each setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pe_ray.config import Config
from pe_ray.errors import PeRayError

RANKS = (8, 16, 32)
BALANCE = (0.01, 0.05, 0.15)
RATES = (0.3, 3.0)
"""Times `train.learning_rate`; drawn evenly on a logarithmic scale."""
DRAWN = ("rank", "learning_rate", "balance_coef")
LOOKS = 4
"""Evaluations of a trial, the last at its end."""
REDUCTION = 2
"""At every look the worse half of those that came as far ends."""


def choose(rows: Sequence[Mapping[str, Any]], steps: int) -> dict[str, Any]:
    """The settings with the lowest held-out loss among those that came to the end, and the reason in words."""
    whole = [r for r in rows if r["eval_loss"] is not None and r["steps"] >= steps]
    if not whole:
        raise PeRayError(f"tune: none of {len(rows)} trials came to its end; see Ray's logs, or give more steps")
    best = min(whole, key=lambda r: r["eval_loss"])
    worst = max(whole, key=lambda r: r["eval_loss"])
    why = (
        f"rank {best['rank']}, learning rate {best['learning_rate']:.2g} and balance {best['balance_coef']:g} had the "
        f"lowest held-out loss after {steps} steps, {best['eval_loss']:.4f}"
    )
    if worst is not best:
        why += f", against {worst['eval_loss']:.4f} for the worst of {len(whole)} that were trained as long"
    ended = len(rows) - len(whole)
    why += f"; {ended} {'was' if ended == 1 else 'were'} ended early" if ended else ""
    return {"chosen": {k: best[k] for k in DRAWN}, "why": why}


def settings(config: Config, drawn: Mapping[str, Any], steps: int) -> Config:
    """The run of one trial: alpha grows with the rank, so that every trial scales its deltas alike."""
    model, train = config.model, config.train
    alpha = model.alpha * drawn["rank"] / model.rank
    changed = {"rank": drawn["rank"], "alpha": alpha, "balance_coef": drawn["balance_coef"]}
    short = {"learning_rate": drawn["learning_rate"], "steps": steps, "eval_every_steps": every(steps), "workers": 0}
    short |= {"patience": LOOKS + 1}
    return config.model_copy(
        update={"model": model.model_copy(update=changed), "train": train.model_copy(update=short)}
    )


def every(steps: int) -> int:
    """Steps between two evaluations of a trial."""
    return max(1, steps // LOOKS)
