"""Whether a run is alive: the processes of its `pids.json` that still are the ones that wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from pe_ray.train.process import PIDS

SLACK_S = 2.0
"""Clocks of files and of processes need not agree to the second."""


def alive(run_dir: Path) -> list[int]:
    """The living processes of a run on this machine, its driver first; none where `pids.json` is absent.

    A killed run leaves the file behind, and its numbers may be another program's by now: a process that began after
    the file was written is not the run's.
    """
    path = run_dir / PIDS
    try:
        written_s, told = path.stat().st_mtime, json.loads(path.read_text())
        pids = [told["driver"], *told["workers"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [pid for pid in dict.fromkeys(pids) if _began_s(pid) <= written_s + SLACK_S]


def _began_s(pid: int) -> float:
    """When a living process began; never, where there is none."""
    try:
        process = psutil.Process(pid)
        return float("inf") if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, ValueError, TypeError):
        return float("inf")
