"""A run at one moment, as its files tell: steps.jsonl, pids.json, plan.json, checkpoints/ and report.html.

Nothing is asked of the run itself, so that looking at it can begin and end without its noticing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_ray.config import Config, load
from pe_ray.errors import UserError
from pe_ray.store.paths import Home
from pe_ray.train import process, report, steplog
from pe_ray.train.alive import alive
from pe_ray.train.checkpoint import PLAN, finished

PACE = 20
"""Steps whose mean is the rate in force."""
STARTING_S = 300.0
"""How long a run that was begun may take until its first process or step shows (Ray starts its workers meanwhile)."""
ENDING_S = 20.0
"""Between its last process and its report, a run without processes is still taken to be ending."""


@dataclass(frozen=True)
class View:
    """A run at one moment. Figures that there are none of yet are None."""

    run_id: str
    state: str
    """starting, training, stopping, ending, done, or ended (no process is left, and no end was told)."""
    stop_reason: str | None
    pids: tuple[int, ...]
    step: int
    horizon_steps: int | None
    last: dict[str, Any] | None
    """The newest line of the step log."""
    tokens: int
    tokens_per_s: float | None
    step_s: float | None
    expert_share: dict[str, float]
    eval_loss: float | None
    eval_step: int | None
    skipped_steps: int
    elapsed_s: float
    predicted_end_s: float | None
    """Elapsed seconds at which the last step is expected; the margin comes after it."""
    window_s: float
    margin_s: float
    checkpoint: str | None
    checkpoint_step: int | None

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.state in ("done", "ended")


class Watched:
    """A run's files, read on from where they were at the last look."""

    def __init__(self, home: Home, run_id: str) -> None:
        """Raises UserError if there is no such training run, naming those there are."""
        self.run_dir = home.run(run_id)
        if not (self.run_dir / PLAN).is_file():
            known = sorted(p.parent.name for p in (home.root / "runs").glob(f"*/{PLAN}"))
            raise UserError(f"run_id={run_id}: is no training run; known: {', '.join(known) or 'none'}")
        self.config: Config = load(self.run_dir / "config.yaml", ["run_id=null"])
        self.steps: list[dict[str, Any]] = []
        self._at = 0

    def look(self, now_s: float | None = None) -> View:
        """The run now; `now_s` is wall-clock time."""
        state = self._state(time.time() if now_s is None else now_s)  # before the log: its last lines are then read
        self._read()
        return _view(self, *state)

    def _read(self) -> None:
        """New lines; a log that became shorter (a rollback) is read anew."""
        path = self.run_dir / steplog.NAME
        if (path.stat().st_size if path.exists() else 0) < self._at:
            self.steps, self._at = [], 0
        lines, self._at = steplog.tail(path, self._at)
        for line in lines:
            while self.steps and self.steps[-1]["step"] >= line["step"]:
                self.steps.pop()
            self.steps.append(line)

    def _state(self, now_s: float) -> tuple[str, str | None, list[int]]:
        pids = alive(self.run_dir)
        if pids:
            return ("stopping" if process.stop_asked(self.run_dir) else "training"), None, pids
        begun_s = _modified(self.run_dir / PLAN)
        if _modified(self.run_dir / report.NAME) >= begun_s:
            return "done", _stop_reason(self.run_dir / "summary.json", begun_s), []
        stepped_s = _modified(self.run_dir / steplog.NAME)
        if stepped_s < begun_s and now_s - begun_s < STARTING_S:
            return "starting", None, []
        return ("ending" if now_s - stepped_s < ENDING_S else "ended"), None, []


def _view(watched: Watched, state: str, stop_reason: str | None, pids: Sequence[int]) -> View:
    steps, train = watched.steps, watched.config.train
    last = steps[-1] if steps else None
    recent = _pace(steps)
    evaluated = [s for s in steps if s.get("eval_loss") is not None]
    newest = max(finished(watched.run_dir / "checkpoints"), key=lambda c: c.step, default=None)
    elapsed_s = last["elapsed_s"] if last else 0.0
    horizon = last["horizon_steps"] if last else None
    left_s = max(0, horizon - last["step"]) * recent[0] if last and horizon is not None and recent else None
    share = (last or {}).get("expert_share") or []
    return View(
        run_id=watched.run_dir.name,
        state=state,
        stop_reason=stop_reason,
        pids=tuple(pids),
        step=last["step"] if last else 0,
        horizon_steps=horizon,
        last=last,
        tokens=sum(s["tokens"] for s in steps),
        tokens_per_s=recent[1] if recent else None,
        step_s=recent[0] if recent else None,
        expert_share=dict(zip(watched.config.model.experts, share, strict=False)),
        eval_loss=evaluated[-1]["eval_loss"] if evaluated else None,
        eval_step=evaluated[-1]["step"] if evaluated else None,
        skipped_steps=sum(bool(s.get("skipped")) for s in steps),
        elapsed_s=elapsed_s,
        predicted_end_s=elapsed_s + left_s if left_s is not None else None,
        window_s=train.window_s,
        margin_s=train.margin_s,
        checkpoint=str(newest.path) if newest else None,
        checkpoint_step=newest.step if newest else None,
    )


def _pace(steps: Sequence[dict[str, Any]]) -> tuple[float, float] | None:
    """Seconds of a step and tokens per second over the last steps, evaluations included."""
    recent = steps[-PACE - 1 :]
    if len(recent) < 2 or recent[-1]["elapsed_s"] <= recent[0]["elapsed_s"]:
        return None
    seconds = recent[-1]["elapsed_s"] - recent[0]["elapsed_s"]
    return seconds / (len(recent) - 1), sum(s["tokens"] for s in recent[1:]) / seconds


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _stop_reason(summary: Path, begun_s: float) -> str | None:
    """As the summary of this attempt says; None where only an earlier one, or another door, wrote one."""
    if _modified(summary) < begun_s:
        return None
    try:
        return str(json.loads(summary.read_text())["stages"]["train"]["stop_reason"])
    except (ValueError, KeyError, TypeError):
        return None
