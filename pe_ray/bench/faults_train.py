"""What is left of a training run when it is killed: `pe-ray bench faults train`.

Runs of a small model are killed with SIGKILL at random steps and moments, and started again under the same id until
they finish: runs in one process, and a run on two Ray Train workers of which a worker, the driver alone, and everything
with Ray itself is killed. Whatever happened, every loss of every step and every byte of the last checkpoint must be
those of the unbroken run.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from pe_ray.bench import killing, running
from pe_ray.bench.document import Result, measured
from pe_ray.bench.running import Driver, Forked, Ground, Log
from pe_ray.store import manifest
from pe_ray.train.alive import alive
from pe_ray.train.checkpoint import finished
from pe_ray.train.process import PIDS

LEAST_ROUNDS = 20
RANKS = 4
"""Workers that are killed; beside them the driver and everything once each."""
KINDS = ("process", "rank", "driver", "everything")
ALONE_STEPS, RAY_STEPS = 45, 400
EACH = 2
"""Kills of a run in one process."""
LATEST_S = 0.04
"""A kill comes up to so long after its step: some two steps, and the checkpoint that is written meanwhile."""
DEATHS = "deaths.jsonl"
FILES = ("weights.safetensors", "optimizer.safetensors")
"""Of a checkpoint, what no time of day stands in."""


@dataclass
class Account:
    """What the rounds came to."""

    kinds: Counter[str] = field(default_factory=Counter)
    while_writing: int = 0
    """Kills that met a checkpoint half written."""
    acknowledged: int = 0
    """Checkpoints that were finished when a kill came."""
    lost: int = 0
    """Kills after which a run went on from an older checkpoint than the newest finished one."""
    repeated: int = 0
    """Steps that had been done, and had to be done again."""
    duplicated: int = 0
    torn: int = 0
    mismatched: int = 0
    restart_s: list[float] = field(default_factory=list)
    """Of Ray's workers: seconds from a kill to the next step."""

    @property
    def rounds(self) -> int:
        return self.kinds.total()


@dataclass(frozen=True)
class Standing:
    """A run at the moment of its death."""

    step: int
    checkpoint: int
    """The newest finished one."""
    since_s: float


def run(rounds: int, seed: int, ray: bool, say: Callable[[str], None]) -> list[Result]:
    """The counts."""
    account, rng = Account(), Random(seed)
    with TemporaryDirectory(prefix="pe_ray-faults-") as name:
        ground = running.prepare(Path(name))
        bench = Bench(ground, account, rng, say)
        bench.alone(rounds - (RANKS + 2 if ray else 0))
        if ray:
            bench.on_ray()
    return _rows(account)


def _rows(account: Account) -> list[Result]:
    gated = {name: getattr(account, name) for name in ("lost", "duplicated", "torn", "mismatched")}
    rows = [
        measured("rounds", account.rounds, "kills", "higher", LEAST_ROUNDS),
        measured("acknowledged", account.acknowledged, "checkpoints", "higher"),
        *(measured(name, value, "count", "lower", 0) for name, value in gated.items()),
        *(measured(f"kills.{kind}", account.kinds[kind], "kills", "higher") for kind in KINDS),
        measured("kills.while_writing", account.while_writing, "kills", "higher"),
        measured("repeated", account.repeated, "steps", "lower"),
    ]
    if account.restart_s:
        rows.append(measured("restart_s", max(account.restart_s), "s, slowest", "lower"))
    return rows


class Bench:
    """The runs, broken and unbroken."""

    def __init__(self, ground: Ground, account: Account, rng: Random, say: Callable[[str], None]) -> None:
        self.ground, self.account, self.rng, self.say = ground, account, rng, say

    def alone(self, kills: int) -> None:
        """Runs in one process, each killed twice."""
        whole = self._unbroken(Forked, "alone", ALONE_STEPS)
        number = 0
        while self.account.rounds < kills:
            run_id = f"alone-{(number := number + 1)}"
            if number > 2 * kills + 2:
                raise running.DidNotTrain(f"only {self.account.rounds} of {kills} kills met a running process")
            for step in self._steps(ALONE_STEPS, min(EACH, kills - self.account.rounds)):
                with running.running(Forked(self.ground, run_id, ALONE_STEPS)) as process:
                    self._kill(process, run_id, step, "process", process.kill)
            with running.running(Forked(self.ground, run_id, ALONE_STEPS)) as process:
                running.finish(process)
            self._settle(whole, run_id)

    def on_ray(self) -> None:
        """One run on two workers: workers die, then the driver, then all there is."""
        whole = self._unbroken(Driver, "ray", RAY_STEPS)
        steps, run_id = self._steps(RAY_STEPS, RANKS + 2), "ray-1"
        with running.running(Driver(self.ground, run_id, RAY_STEPS)) as process:
            for step in steps[:RANKS]:
                dead = self._kill(process, run_id, step, "rank", lambda: self._kill_rank(run_id))
                self._back(process, run_id, dead)
            self._kill(process, run_id, steps[RANKS], "driver", lambda: self._kill_driver(process, run_id))
        with running.running(Driver(self.ground, run_id, RAY_STEPS)) as process:
            self._kill(process, run_id, steps[RANKS + 1], "everything", process.kill_all)
        with running.running(Driver(self.ground, run_id, RAY_STEPS)) as process:
            running.finish(process)
        self._settle(whole, run_id)

    def _unbroken(self, kind: type[Forked | Driver], run_id: str, steps: int) -> Path:
        began = time.monotonic()
        with running.running(kind(self.ground, run_id, steps)) as process:
            running.finish(process)
        self.say(f"{run_id}: unbroken, {steps} steps, {time.monotonic() - began:.1f} s with its start")
        return self.ground.home.run(run_id)

    def _steps(self, last: int, kills: int) -> list[int]:
        """Steps to kill at, one in each part of the run, so that all of them come before its end."""
        part = (last - 4) // max(1, kills)
        return [2 + part * i + self.rng.randrange(part) for i in range(kills)]

    def _kill(
        self, process: running.Process, run_id: str, step: int, kind: str, kill: Callable[[], None]
    ) -> Standing | None:
        """Kill when the step is in the log, or a little later; then look at what is left. None: it was done before."""
        run_dir = self.ground.home.run(run_id)
        log = Log(run_dir)
        running.wait_for(process, lambda: log.last() >= step)
        time.sleep(self.rng.random() * LATEST_S)
        if process.code() is not None:
            self.say(f"{run_id}: was done before its kill at step {step}")
            return None
        kill()
        self.account.kinds[kind] += 1
        if kind != "rank":  # else the other worker may still be writing
            self._look(run_dir)
        dead = Standing(log.last(), _newest(run_dir), time.monotonic())
        self.say(f"kill {self.account.rounds}: {kind}, step {dead.step}, newest checkpoint {dead.checkpoint}")
        return dead

    def _look(self, run_dir: Path) -> None:
        points = run_dir / "checkpoints"
        self.account.torn += len(killing.torn(points))
        self.account.acknowledged += len(finished(points))
        self.account.while_writing += any(p.name.startswith(".") for p in points.glob("*"))
        death = {"lines": len(Log(run_dir).lines()) - 1, "checkpoint": _newest(run_dir)}
        with (run_dir / DEATHS).open("a") as file:
            file.write(json.dumps(death) + "\n")

    def _kill_rank(self, run_id: str) -> None:
        """One of the workers, the first as likely as the other."""
        pids = json.loads((self.ground.home.run(run_id) / PIDS).read_text())
        os.kill(self.rng.choice(pids["workers"]), signal.SIGKILL)

    def _kill_driver(self, process: running.Process, run_id: str) -> None:
        """The driver alone; Ray and the workers end when they notice."""
        process.kill()
        until = time.monotonic() + running.LONGEST_S
        while alive(self.ground.home.run(run_id)):
            if time.monotonic() > until:
                raise running.DidNotTrain(f"{run_id}: workers live on without their driver")
            time.sleep(0.05)

    def _back(self, process: running.Process, run_id: str, dead: Standing | None) -> None:
        """Until Ray's workers are back: the steps behind the newest checkpoint are written again."""
        if dead is None:
            return
        log = Log(self.ground.home.run(run_id))
        before = len(log.lines())
        running.wait_for(process, lambda: len(log.lines()) > before + 2 or log.last() >= RAY_STEPS)
        pairs = itertools.pairwise(log.lines())
        back = next((after for at, after in pairs if after <= at and at >= dead.step), None)
        self.account.restart_s.append(time.monotonic() - dead.since_s)
        self.account.acknowledged += dead.checkpoint > 0
        self.account.lost += back is not None and back - 1 < dead.checkpoint

    def _settle(self, whole: Path, run_id: str) -> None:
        """Compare a run that was killed with the unbroken one."""
        run_dir = self.ground.home.run(run_id)
        want, have = running.exact(whole), running.exact(run_dir)
        differ = [a["step"] for a, b in zip(want, have, strict=False) if a != b]
        steps = [line["step"] for line in have]
        self.account.duplicated += len(steps) - len(set(steps)) + abs(len(want) - len(have))
        self.account.torn += len(killing.torn(run_dir / "checkpoints"))
        self.account.repeated += len(Log(run_dir).lines()) - 1 - len(steps)
        self.account.lost += _went_back(run_dir)
        bytes_differ = _bytes(whole) != _bytes(run_dir)
        self.account.mismatched += bool(differ) or bytes_differ
        if differ or bytes_differ:
            self.say(f"{run_id}: differs at steps {differ[:5]}, files of the last checkpoint differ: {bytes_differ}")


def _newest(run_dir: Path) -> int:
    """Step of the newest finished checkpoint; 0 without one."""
    return max((c.step for c in finished(run_dir / "checkpoints")), default=0)


def _went_back(run_dir: Path) -> int:
    """Deaths after which the log goes on from before the checkpoint that was finished by then."""
    path, lines = run_dir / DEATHS, Log(run_dir).lines()[1:]
    deaths = [json.loads(raw) for raw in path.read_text().splitlines()] if path.exists() else []
    after = [(d["checkpoint"], lines[d["lines"]]) for d in deaths if d["lines"] < len(lines)]
    return sum(step - 1 < checkpoint for checkpoint, step in after)


def _bytes(run_dir: Path) -> Sequence[str]:
    last = finished(run_dir / "checkpoints")[-1].path
    return [last.name, *(manifest.file_hash(last / name) for name in FILES)]
