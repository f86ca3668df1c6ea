"""A small training run to be killed, and a place to run it: forked in a moment, or as a driver of Ray Train workers.

python -m pe_ray.bench.running HOME CORPUS BASE EXAMPLES RUN_ID
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pe_ray.bench import killing
from pe_ray.config import Config, check
from pe_ray.errors import PeRayError
from pe_ray.record import DOMAINS, RECORD_SCHEMA, Message, Record, to_table
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train import steplog

TINY = {"vocab_size": 400, "layers": 1, "width": 32, "heads": 2, "kv_heads": 1, "positions": 256}
SETTINGS = {
    "micro_batch": 2, "accumulation": 2, "context": 64, "threads": 1, "learning_rate": 5e-3, "warmup_steps": 2,
    "checkpoint_every_steps": 3, "eval_every_steps": 20, "patience": 1000, "window_s": 3600.0,
}  # fmt: skip
THINGS = ("the exam", "my mother", "flying", "the dark", "losing work", "being alone", "the dentist", "crowds")
FAILURES = 50
"""How many dead workers Ray Train forgives: more than are killed."""
LONGEST_S = 600.0
POLL_S = 0.001


class DidNotTrain(PeRayError):
    """A run that ended, or stood still, where it should have gone on; the last line that it printed."""


@dataclass(frozen=True)
class Ground:
    """What every run stands on: a home with a corpus of invented dialogues, a base of one layer, and examples."""

    home: Home
    base: Path
    examples: Path


class Process(Protocol):
    """What both ways to run have in common."""

    pid: int

    def code(self) -> int | None:
        """None while it runs."""

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""

    def said(self) -> str:
        """What it printed."""


def config(steps: int, workers: int) -> Config:
    """Four small experts; a checkpoint every three steps."""
    train = SETTINGS | {"steps": steps, "workers": workers, "failures": FAILURES}
    tiny = TINY | {"steps": 6, "tokens_per_step": 256, "context": 64}
    data = {"base": {"name": "tiny", "tiny": tiny}, "model": {"rank": 4, "alpha": 8}, "train": train}
    return check(data | {"export": {"name": "small"}})


def prepare(folder: Path) -> Ground:
    """Corpus, base and examples in a fresh home."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pe_ray.corpus.tokenise import tokenise
    from pe_ray.train.base import ensure_base

    home = Home.at(folder)
    records = [_dialogue(i) for i in range(48)]
    corpus = home.corpus("invented", "f00d")
    with manifest.stage(corpus, kind="corpus", parents={}) as out:
        out.facts["fingerprint"] = corpus.name
        (out / "records").mkdir()
        split = pa.array(["validation" if i % 8 == 7 else "train" for i in range(len(records))])
        table = to_table(records).cast(RECORD_SCHEMA).append_column("split", split)
        pq.write_table(table, out / "records" / "part-0.parquet")
    base = ensure_base(config(1, 0), corpus, home).path
    return Ground(home, base, tokenise(corpus, base, None))


def _dialogue(i: int) -> Record:
    thing = THINGS[i % len(THINGS)]
    return Record.create(
        source="standard",
        domain=DOMAINS[i % len(DOMAINS)],
        content_type="qa",
        messages=[
            Message("user", f"I am afraid of {thing}, and it was {i} days ago that I slept well."),
            Message("assistant", f"Being afraid of {thing} is hard. What helped you in those {i} days?"),
        ],
        uri="invented.jsonl",
        offset=i,
        licence="CC0-1.0",
        attribution="pe_ray",
    )


class Forked:
    """A run in a process of its own, forked from one that has all modules loaded."""

    def __init__(self, ground: Ground, run_id: str, steps: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["pe_ray.train.run", "pe_ray.bench.running"])
        self._log = ground.home.root / f"{run_id}.log"
        self._process = context.Process(target=_train_here, args=(ground, run_id, steps, self._log), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def code(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def said(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class Driver:
    """The driver of a run on two Ray Train workers, with a cluster of its own."""

    def __init__(self, ground: Ground, run_id: str, steps: int) -> None:
        self._log = ground.home.root / f"{run_id}.log"
        command = [sys.executable, "-m", "pe_ray.bench.running"]
        arguments = [ground.home.root, ground.base, ground.examples, run_id, steps]
        package = str(Path(__file__).parents[2])
        environ = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | ground.home.environ
        environ["PYTHONPATH"] = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, *map(str, arguments)], env=environ, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self._process.pid

    def code(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def kill_all(self) -> None:
        """The driver, Ray's own processes and the workers at once, as when the power goes."""
        killing.kill_tree(self.pid)
        self._process.wait()

    def said(self) -> str:
        return self._log.read_text(errors="replace")


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """End it with the block, however the block ends."""
    try:
        yield process
    finally:
        if process.code() is None:
            process.kill()


def wait_for(process: Process, reached: Callable[[], bool]) -> bool:
    """Until something is so; False if the process ended first. Raises DidNotTrain after ten minutes."""
    until = time.monotonic() + LONGEST_S
    while not reached():
        if process.code() is not None:
            return reached()
        if time.monotonic() > until:
            raise DidNotTrain(f"a run stood still: {killing.last_line(process.said())}")
        time.sleep(POLL_S)
    return True


def finish(process: Process) -> None:
    """Let it run to its end. Raises DidNotTrain if that is not exit code 0."""
    wait_for(process, lambda: process.code() is not None)
    if process.code():
        raise DidNotTrain(f"a run ended with {process.code()}: {killing.last_line(process.said())}")


class Log:
    """The step log of a run as it grows."""

    def __init__(self, run_dir: Path) -> None:
        self.path, self._at, self.steps = run_dir / steplog.NAME, 0, [0]

    def last(self) -> int:
        """The newest step; 0 before the first."""
        self.lines()
        return self.steps[-1]

    def lines(self) -> list[int]:
        """Every step in the order in which it was written, repeated ones too; a zero first."""
        found, self._at = steplog.tail(self.path, self._at)
        self.steps += [line["step"] for line in found]
        return self.steps


def _train_here(ground: Ground, run_id: str, steps: int, log: Path) -> None:
    """In a forked process: its output goes to the log of the run."""
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from pe_ray.train.run import train

    train(config(steps, 0), ground.examples, ground.base, ground.home, run_id)


def main(argv: list[str]) -> None:
    """The driver of a run on Ray Train workers."""
    from pe_ray.cluster import connected
    from pe_ray.train.job import train

    root, base, examples, run_id, steps = argv
    home = Home.at(root)
    with connected(home):
        train(config(int(steps), 2), Path(examples), base, home, run_id)


def exact(run_dir: Path) -> list[Mapping[str, Any]]:
    """What a run computed, step by step, without its times."""
    timed = ("elapsed_s", "horizon_steps")
    return [{k: v for k, v in line.items() if k not in timed} for line in steplog.read(run_dir / steplog.NAME)]


if __name__ == "__main__":
    main(sys.argv[1:])
