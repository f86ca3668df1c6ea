"""What a run needs of the machine: its lock, `pids.json`, a graceful stop, threads."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from pe_ray.errors import PeRayError
from pe_ray.store.manifest import write_json

PIDS, STOP, LOCK = "pids.json", "stop", "lock"


@contextmanager
def only_writer(run_dir: Path, wait_s: float = 60.0) -> Iterator[None]:
    """Be the one process that writes checkpoints and steps of a run; the system takes the lock back from a dead one.

    Raises PeRayError if another process holds it for `wait_s` (a killed run's workers need a moment to end).
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with (run_dir / LOCK).open("a") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise PeRayError(f"run_id={run_dir.name}: another process is training it; wait for it or stop it")
            time.sleep(0.1)
        yield


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_pids(run_dir: Path, driver: int, workers: Sequence[int]) -> None:
    """Say which processes train the run."""
    write_json(run_dir / PIDS, {"driver": driver, "workers": list(workers)})


@contextmanager
def stoppable(run_dir: Path) -> Iterator[None]:
    """While the block runs, SIGTERM or Ctrl-C asks for a stop after the current step; a second one ends at once.

    The request is a file, so that a worker in another process sees it (`stop_asked`). Outside the main thread, where
    Python allows no handlers, only the file counts.
    """
    flag = run_dir / STOP
    flag.unlink(missing_ok=True)
    before: dict[int, object] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        flag.touch()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, ask) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        restore()
        flag.unlink(missing_ok=True)
        (run_dir / PIDS).unlink(missing_ok=True)


def stop_asked(run_dir: Path) -> bool:
    """Whether somebody wants the run to stop."""
    return (run_dir / STOP).exists()


def threads_of(threads: int | None, workers: int) -> int:
    """CPU threads of one of so many workers: what was asked for, else its part of the cores."""
    return threads or max(1, (os.cpu_count() or 1) // max(1, workers))


@contextmanager
def steady(threads: int) -> Iterator[None]:
    """A fixed number of threads and deterministic kernels while the block runs: sums in the same order every time."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may choose another order of sums
    were = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a check for bugs that costs a pass over every buffer
    try:
        yield
    finally:
        torch.set_num_threads(were[0])
        torch.use_deterministic_algorithms(were[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled
