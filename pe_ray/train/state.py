"""How a run is to go, what it knows of itself, and how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pe_ray.train.checkpoint import Checkpoint
from pe_ray.train.schedule import Schedule

ENDS = 5
"""first_loss and last_loss are means over this many steps."""
SHARES = 20
"""The reported share of the experts is a mean over this many last steps."""
RECENT = 50
"""Steps whose smoothed losses the slope is taken over."""
SMOOTH = 0.1
"""Weight of the newest loss in the smoothed one."""


@dataclass(frozen=True)
class Settings:
    """How the parameters move, and when the loop looks up from its work."""

    steps: int
    """Most optimizer steps, skipped ones included."""
    schedule: Schedule = field(default_factory=lambda: Schedule(2e-4))
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    eval_every_steps: int = 20
    patience: int = 3
    max_bad_steps: int = 5
    checkpoint_every_s: float = 1800.0
    checkpoint_every_steps: int | None = None
    seed: int = 7


@dataclass
class State:
    """What a run knows of itself; it rests in every checkpoint."""

    step: int = 0
    horizon_steps: int = 0
    elapsed_s: float = 0.0
    step_s: float | None = None
    """Measured seconds of a step, for the first horizon after a restart."""
    eval_s: float = 0.0
    """Seconds of the latest evaluation: the window keeps as much for the last one."""
    train_s: float = 0.0
    """Seconds in optimizer steps, without evaluation and checkpoints."""
    tokens: int = 0
    skipped_steps: int = 0
    bad_in_row: int = 0
    eval_loss_start: float | None = None
    eval_loss: float | None = None
    eval_step: int = -1
    best_loss: float | None = None
    best_step: int = 0
    evals_without_gain: int = 0
    first_losses: list[float] = field(default_factory=list)
    last_losses: list[float] = field(default_factory=list)
    shares: list[list[float]] = field(default_factory=list)
    """Of the last steps, the share of the routed slots by expert."""
    smooth: list[float] = field(default_factory=list)
    """Of the last steps, the smoothed loss."""
    eval: dict[str, Any] = field(default_factory=dict)
    """What the latest evaluation found beside the loss: perplexity, accuracy, loss by domain, share by expert."""

    def note(self, loss: float | None, share: list[float]) -> None:
        """Remember a step; a loss of None is one that was skipped."""
        if loss is None:
            self.skipped_steps += 1
            self.bad_in_row += 1
            return
        self.bad_in_row = 0
        if len(self.first_losses) < ENDS:
            self.first_losses.append(loss)
        self.last_losses = [*self.last_losses, loss][-ENDS:]
        before = self.smooth[-1] if self.smooth else loss
        self.smooth = [*self.smooth, before + SMOOTH * (loss - before)][-RECENT:]
        if share:
            self.shares = [*self.shares, share][-SHARES:]

    @property
    def slope(self) -> float | None:
        """How much the smoothed loss changes in a step, by least squares; None before the tenth step.

        Near zero it has converged, above zero it diverges.
        """
        n = len(self.smooth)
        if n < 10:
            return None
        middle = (n - 1) / 2
        return sum((i - middle) * y for i, y in enumerate(self.smooth)) / (n * (n * n - 1) / 12)

    def judge(self, eval_loss: float | None) -> bool:
        """Remember an evaluation of the current step (None: not finite); whether it is the best so far."""
        self.eval_loss, self.eval_step = eval_loss, self.step
        if self.step == 0:
            self.eval_loss_start = eval_loss
        gained = eval_loss is not None and (self.best_loss is None or eval_loss < self.best_loss)
        if gained:
            self.best_loss, self.best_step = eval_loss, self.step
        self.evals_without_gain = 0 if gained else self.evals_without_gain + 1
        return gained


@dataclass(frozen=True)
class FitResult:
    """How a run went. `checkpoint` has the best evaluation; it is None without a checkpointer, and beside rank 0."""

    state: State
    stop_reason: str
    """window, steps, early_stop, signal or nan."""
    checkpoint: Checkpoint | None

    @property
    def tokens_per_s(self) -> float:
        """Rate of the optimizer steps alone, over all workers."""
        return self.state.tokens / self.state.train_s if self.state.train_s else 0.0
