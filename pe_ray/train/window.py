"""The wall-clock budget of a run: when to stop, and how many steps there will have been by then.

The clock starts when rank 0 enters `fit()`. What an interrupted run had used already counts, so that a crash loop
cannot overrun the window. Only rank 0 asks; the others are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PARTS = 24
"""The horizon is estimated anew after every such part of the window."""


class Window:
    """`window_s` seconds, of which the last `margin_s` are kept for the last checkpoint and the export.

    `elapsed_before_s` is what earlier attempts of the same run have used, `step_s` the step time that they measured.
    Between two estimates the horizon stands still: the learning rate must not jitter with the clock.
    """

    def __init__(
        self,
        window_s: float,
        margin_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        elapsed_before_s: float = 0.0,
        step_s: float | None = None,
    ) -> None:
        if not 0 <= margin_s < window_s:
            raise ValueError(f"margin_s={margin_s:g} is not shorter than window_s={window_s:g}")
        self.window_s, self.margin_s, self.step_s = window_s, margin_s, step_s
        self.reserve_s = 0.0
        """Seconds kept beside the margin: what the last evaluation is going to take."""
        self._clock, self._before_s = clock, elapsed_before_s
        self.start()

    def start(self) -> None:
        """Let the clock run from now on, and measure step times from now on."""
        self._started = self._clock()
        self._mark_s: float | None = None
        self._mark_step = 0
        self._next_estimate_s = 0.0

    def resume(self, elapsed_s: float, step_s: float | None) -> None:
        """Count what an earlier attempt used, as its checkpoint and step log say."""
        self._before_s = max(self._before_s, elapsed_s)
        self.step_s = step_s if self.step_s is None else self.step_s
        self.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds of the window used so far, those of earlier attempts included."""
        return self._before_s + (self._clock() - self._started)

    @property
    def deadline_s(self) -> float:
        """Elapsed seconds at which no further step begins."""
        return max(0.0, self.window_s - self.margin_s - self.reserve_s)

    def over(self, ahead_s: float = 0.0) -> bool:
        """Whether the time for training is used up, `ahead_s` seconds from now.

        Also where a further step, as long as the measured ones, would end past the whole window: a step that is longer
        than the margin must not eat it up.
        """
        now_s = self.elapsed_s + ahead_s
        if now_s >= self.deadline_s:
            return True
        return self.step_s is not None and now_s + self.step_s > self.window_s - self.reserve_s

    def horizon(self, step: int, max_steps: int, current: int) -> int:
        """How many steps the run will have; `current` until another 24th of the window has passed.

        min(max_steps, step + time left / measured step time); evaluations and checkpoints count into the step time.
        Before the first measurement it is `max_steps`, or what an earlier attempt's step time says.
        """
        now_s = self.elapsed_s
        if self._mark_s is None:  # first call of this attempt
            self._mark(now_s, step)
            return current if self.step_s is None else self._estimate(now_s, step, max_steps)
        if now_s < self._next_estimate_s or step == self._mark_step:
            return current
        self.step_s = (now_s - self._mark_s) / (step - self._mark_step)
        self._mark(now_s, step)
        return self._estimate(now_s, step, max_steps)

    def _mark(self, now_s: float, step: int) -> None:
        self._mark_s, self._mark_step = now_s, step
        self._next_estimate_s = now_s + self.window_s / PARTS

    def _estimate(self, now_s: float, step: int, max_steps: int) -> int:
        assert self.step_s is not None
        left_s = max(0.0, self.deadline_s - now_s)
        # rounded down: a run that is a step faster than thought repeats the floor rate, one that is slower misses it
        return min(max_steps, step + int(left_s / max(self.step_s, 1e-9)))
