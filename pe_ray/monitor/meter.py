"""What a job cost: wall clock, CPU seconds and peak memory of its whole process tree."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psutil


class Meter:
    """Samples the process tree in a thread while the block runs.

    Memory is the proportional set size, so that what Ray's processes share is counted once. CPU seconds of children
    that have ended are kept: a process that is gone between two samples keeps its last reading.
    """

    def __init__(self, every_s: float = 1.0) -> None:
        self.every_s = every_s
        self.peak_memory_gib = 0.0
        self._roots = [psutil.Process()]
        self._cpu: dict[tuple[int, float], float] = {}
        self._cpu_at_start = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="pe_ray-meter")

    def __enter__(self) -> Meter:
        self._started = time.monotonic()
        self._sample()
        self._cpu_at_start = sum(self._cpu.values())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def watch(self, pid: int) -> None:
        """Count the tree of another process too (one that we started, but detached)."""
        self._roots = [*self._roots, psutil.Process(pid)]

    @property
    def elapsed_s(self) -> float:
        """Seconds since the block began."""
        return time.monotonic() - self._started

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the tree since the block began."""
        return sum(self._cpu.values()) - self._cpu_at_start

    def _watch(self) -> None:
        while not self._stop.wait(self.every_s):
            self._sample()

    def _sample(self) -> None:
        total = 0
        for process in {p for root in self._roots for p in _tree(root)}:
            try:
                times = process.cpu_times()
                self._cpu[process.pid, process.create_time()] = times.user + times.system
                total += process.memory_full_info().pss
            except (psutil.Error, OSError):
                continue
        self.peak_memory_gib = max(self.peak_memory_gib, total / 2**30)


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return [root]
