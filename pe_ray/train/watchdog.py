"""A run that stands still is not waited for: whoever hangs is killed, and the run goes on from its checkpoint.

A worker that died is noticed by Ray; one that hangs (a stuck driver of a device, a file system that does not answer) is
not, and the others wait for it. The step log is the sign of life: nothing in it for `limit_s`, and the workers are
ended. Across machines the ranks' collectives end by their own time-out (job.py), since one machine cannot kill what
runs on another.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pe_ray.train import steplog
from pe_ray.train.alive import alive
from pe_ray.train.process import PIDS

EVERY_S = 1.0


class Watchdog:
    """Looks at a run's files; `bite` is called when nothing has changed for `limit_s` since its processes are known."""

    def __init__(
        self, run_dir: Path, limit_s: float, bite: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.run_dir, self.limit_s, self.bite, self.clock = run_dir, limit_s, bite, clock
        self._seen: tuple[float, ...] = ()
        self._since = clock()

    def look(self) -> bool:
        """Whether it bit. Before the run's processes are known it waits: loading a base takes its time."""
        now = tuple(_mark(self.run_dir / name) for name in (steplog.NAME, PIDS))
        if now != self._seen or not (self.run_dir / PIDS).exists():
            self._seen, self._since = now, self.clock()
        if self.clock() - self._since < self.limit_s:
            return False
        self._since = self.clock()
        self.bite()
        return True


@contextmanager
def watched(run_dir: Path, limit_s: float, bite: Callable[[], None], every_s: float = EVERY_S) -> Iterator[None]:
    """While the block runs, a thread of this process looks after the run."""
    done, dog = threading.Event(), Watchdog(run_dir, limit_s, bite)

    def guard() -> None:
        while not done.wait(every_s):
            dog.look()

    thread = threading.Thread(target=guard, daemon=True, name="pe_ray-watchdog")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def end_workers(run_dir: Path, limit_s: float) -> None:
    """Kill the workers of a run on this machine, never the driver: Ray Train then starts them again."""
    import json

    told = json.loads((run_dir / PIDS).read_text())
    pids = [pid for pid in alive(run_dir) if pid in told["workers"] and pid != told["driver"]]
    print(_hung(run_dir, limit_s, f"its workers {pids} are killed and started again"), file=sys.stderr, flush=True)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def end_process(run_dir: Path, limit_s: float) -> None:
    """End this process, after saying where every thread stands; the same run id goes on."""
    faulthandler.dump_traceback(file=sys.stderr)
    print(_hung(run_dir, limit_s, f"run it again with --run-id {run_dir.name}"), file=sys.stderr, flush=True)
    os._exit(1)


def _hung(run_dir: Path, limit_s: float, what: str) -> str:
    return f"error: run_id={run_dir.name}: no step for train.hang_s={limit_s:g} seconds; {what}"


def _mark(path: Path) -> float:
    try:
        return path.stat().st_mtime_ns + path.stat().st_size
    except FileNotFoundError:
        return -1.0
