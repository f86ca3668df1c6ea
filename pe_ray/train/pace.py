"""How long so many steps of a run take, and how many a window holds, from the seconds of the pieces of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pe_ray.config import Config
from pe_ray.train import setup


@dataclass(frozen=True)
class Pace:
    """Seconds of the pieces that a run is made of."""

    step_s: float
    eval_s: float = 0.0
    save_s: float = 0.0
    write_s: float = 0.0
    startup_s: float = 0.0

    def elapsed_s(self, steps: int, config: Config, *, last_eval: bool = True) -> float:
        """Of the window, when so many steps are done.

        Evaluations: one before the first step, one every `eval_every_steps`, one at the end. Every evaluation may be
        the best so far, and is then saved.
        """
        every = config.train.eval_every_steps
        between = math.ceil(steps / every) - 1 if last_eval else steps // every
        evals = max(0, between) + 1 + last_eval
        bare_s = steps * self.step_s + evals * self.eval_s
        saves = evals - 1 + bare_s / setup.settings_of(config, steps).checkpoint_every_s
        if config.train.checkpoint_every_steps:
            saves += steps / config.train.checkpoint_every_steps
        return bare_s + saves * self._stall_s(bare_s / max(1.0, saves))

    def _stall_s(self, between_s: float) -> float:
        """A checkpoint waits for the one before it, where that takes longer than the steps between them."""
        return self.save_s + max(0.0, self.write_s - between_s)


def steps_of(config: Config, pace: Pace, wanted: int) -> tuple[int, str]:
    """How many steps there will be, and what bounds them: the loop's own rule, asked with a pace instead of a clock.

    No step begins when the window less the margin and one evaluation is used up.
    """
    deadline_s = config.train.window_s - config.train.margin_s - pace.eval_s
    low, high = 0, wanted
    while low < high:  # the first number of steps after which the time is up
        middle = (low + high) // 2
        if pace.elapsed_s(middle, config, last_eval=False) >= deadline_s:
            high = middle
        else:
            low = middle + 1
    return (wanted, "steps") if low >= wanted else (low, "window")
