"""Put a run back to an earlier checkpoint: `pe-ray train rollback RUN_ID --to STEP`.

What is newer is moved to `runs/<id>/rolled_back/<time>/` and never deleted. The next `pe-ray train --run-id` goes on
from there; the clock of its window stands where it stood at that step.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pe_ray.errors import PeRayError, UserError
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train import process, report, steplog
from pe_ray.train.alive import alive
from pe_ray.train.checkpoint import finished

ASIDE = "rolled_back"
ENDS = (report.NAME, "summary.json")
"""They tell of an end that is taken back."""


@dataclass(frozen=True)
class RolledBack:
    """What was moved, or would be: file names under the run's directory, the newest checkpoint first."""

    run_id: str
    step: int
    aside: Path
    checkpoints: tuple[str, ...]
    lines: int
    """Of the step log."""
    files: tuple[str, ...]
    done: bool

    def text(self) -> str:
        """In one line for a person."""
        if not (self.checkpoints or self.lines or self.files):
            return f"{self.run_id}: is at step {self.step}; nothing is newer"
        moved = "moved" if self.done else "would move"
        parts = [f"{len(self.checkpoints)} checkpoints", f"{self.lines} lines of the log", *self.files]
        return f"{self.run_id}: back to step {self.step}; {moved} {', '.join(parts)} to {self.aside}"


def rollback(home: Home, run_id: str, to: int, *, dry_run: bool = False, now: datetime | None = None) -> RolledBack:
    """Move aside all that a run did after step `to`, of which it must have a whole checkpoint.

    Raises UserError for an unknown run or step (it names those there are), and PeRayError while the run is alive or
    where the checkpoint is damaged. Killed half-way, it can be run again: a newer checkpoint goes before its log.
    """
    run_dir = home.run(run_id)
    _known(home, run_id)
    pids = alive(run_dir)
    if pids:
        raise PeRayError(
            f"run_id={run_id}: is alive (processes {', '.join(map(str, pids))}); stop it first (SIGTERM to {pids[0]})"
        )
    with process.only_writer(run_dir, wait_s=0.0):  # it cannot be started meanwhile either
        _check(run_dir, to)
        found = _plan(run_dir, to, now or datetime.now(UTC))
        if not dry_run:
            _move(run_dir, found)
    return found if dry_run else replace(found, done=True)


def _known(home: Home, run_id: str) -> None:
    if not (home.run(run_id) / "checkpoints").is_dir():
        known = sorted(p.parent.name for p in (home.root / "runs").glob("*/checkpoints"))
        raise UserError(f"run_id={run_id}: is no training run with checkpoints; known: {', '.join(known) or 'none'}")


def _check(run_dir: Path, to: int) -> None:
    have = {c.step: c for c in finished(run_dir / "checkpoints")}
    if to not in have:
        steps = ", ".join(map(str, have)) or "none"
        raise UserError(f"--to {to}: run {run_dir.name} has no finished checkpoint of that step; it has: {steps}")
    manifest.read(have[to].path, "checkpoint", verify=True)


def _plan(run_dir: Path, to: int, now: datetime) -> RolledBack:
    newer = [p.name for p in (run_dir / "checkpoints").iterdir() if _step(p) > to]
    _, lines = _cut(run_dir / steplog.NAME, to)
    ends = tuple(n for n in ENDS if (run_dir / n).exists())
    return RolledBack(
        run_dir.name,
        to,
        run_dir / ASIDE / f"{now:%Y%m%d-%H%M%S}-step-{to}",
        tuple(sorted(newer, key=lambda name: _step(Path(name)), reverse=True)),
        len(lines),
        ends if newer or lines else (),
        False,
    )


def _step(path: Path) -> int:
    """Of a checkpoint, or of one that a killed writer left (`.step_000100.ab12`); -1 for anything else."""
    head, _, rest = path.name.lstrip(".").partition("_")
    digits = rest.partition(".")[0]
    return int(digits) if head == "step" and digits.isdigit() else -1


def _cut(log: Path, to: int) -> tuple[list[bytes], list[bytes]]:
    """The lines of the log up to the last one of step `to`, and those behind it, torn ones included."""
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    last = max((i for i, raw in enumerate(lines) if _line_step(raw) <= to), default=-1)
    return lines[: last + 1], lines[last + 1 :]


def _line_step(raw: bytes) -> float:
    """The step of a line; a torn one has none, and goes where its neighbours go."""
    try:
        return float(json.loads(raw)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _move(run_dir: Path, found: RolledBack) -> None:
    if not (found.checkpoints or found.lines):
        return
    found.aside.mkdir(parents=True)
    for name in found.checkpoints:
        target = found.aside / "checkpoints" / name
        target.parent.mkdir(exist_ok=True)
        shutil.move(run_dir / "checkpoints" / name, target)
    kept, newer = _cut(run_dir / steplog.NAME, found.step)
    manifest.write_bytes(found.aside / steplog.NAME, b"".join(newer))
    manifest.write_bytes(run_dir / steplog.NAME, b"".join(kept))
    for name in found.files:
        shutil.move(run_dir / name, found.aside / name)
