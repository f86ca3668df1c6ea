"""`steps.jsonl`: a line for every optimizer step. A restarted run writes steps again; the last line of a step wins."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

NAME = "steps.jsonl"


class StepLog:
    """Appends lines; each is one write, so that a killed process leaves whole lines and at most one torn one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.elapsed_s = elapsed_s(path)
        """Seconds of the window that earlier attempts had used at their latest line."""
        self.pace_s = pace_s(path)
        """Seconds of a step in earlier attempts, evaluations included; None without a line."""
        torn = path.exists() and path.stat().st_size > 0 and not _ends_line(path)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if torn:
            os.write(self._fd, b"\n")

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one step."""
        os.write(self._fd, json.dumps(line, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def __enter__(self) -> StepLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The steps of a run in order. A step that appears again takes back all that followed it; torn lines are left out.

    An absent file has no steps.
    """
    steps: list[dict[str, Any]] = []
    for line in _lines(path):
        while steps and steps[-1]["step"] >= line["step"]:
            steps.pop()
        steps.append(line)
    return steps


def tail(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """The whole lines after `offset` bytes, and the offset behind them."""
    if not path.exists():
        return [], offset
    with path.open("rb") as f:
        f.seek(offset)
        data = f.read()
    whole = data[: data.rfind(b"\n") + 1]
    return _parse(whole), offset + len(whole)


def elapsed_s(path: Path) -> float:
    """Seconds of the window that the run had used at its latest line; 0 without one."""
    return max((line["elapsed_s"] for line in _lines(path)), default=0.0)


def pace_s(path: Path) -> float | None:
    """Seconds that a step took on the whole of the latest attempt's way; None without a line."""
    steps = read(path)
    return steps[-1]["elapsed_s"] / len(steps) if steps else None


def _lines(path: Path) -> list[dict[str, Any]]:
    return _parse(path.read_bytes()) if path.exists() else []


def _parse(data: bytes) -> list[dict[str, Any]]:
    found = []
    for raw in data.splitlines():
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict) and "step" in line:
            found.append(line)
    return found


def _ends_line(path: Path) -> bool:
    with path.open("rb") as f:
        f.seek(-1, os.SEEK_END)
        return f.read(1) == b"\n"
