"""The JSON document of a bench: where it ran, how loaded the machine was, and each figure with its bound.

Only the standard library is imported here, so that an area can run on a machine that has nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Result:
    """One figure. `bound` is what it must reach, `ok` whether it does; both may be absent.

    Not measured: `value` and `ok` are None, and `reason` says why.
    """

    name: str
    value: float | None
    unit: str
    better: Better
    bound: float | None
    ok: bool | None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The keys of the document; `reason` only where there is one."""
        body = {k: getattr(self, k) for k in ("name", "value", "unit", "better", "bound", "ok")}
        return body if self.reason is None else {**body, "reason": self.reason}


def measured(name: str, value: float, unit: str, better: Better, bound: float | None = None) -> Result:
    """A figure against its bound; without one there is nothing to miss."""
    ok = bound is None or (value >= bound if better == "higher" else value <= bound)
    return Result(name, float(f"{value:.6g}"), unit, better, bound, ok)


def not_measured(name: str, unit: str, better: Better, bound: float | None, reason: str) -> Result:
    """A figure that could not be had here."""
    return Result(name, None, unit, better, bound, None, reason)


def document(area: str, results: Iterable[Result], load: Sequence[float]) -> dict[str, Any]:
    """The whole document; `load` is the one-minute load average before and after."""
    return {
        "area": area,
        "commit": commit(),
        "machine": machine(),
        "load": [round(x, 2) for x in load],
        "results": [r.as_dict() for r in results],
    }


def exit_code(results: Iterable[Result]) -> int:
    """3 where a bound is missed, else 0."""
    return 3 if any(r.ok is False for r in results) else 0


def as_text(body: dict[str, Any]) -> str:
    """The document for a reader at a terminal, a figure to a line."""
    lines = [f"{body['area']} at {body['commit']} on {body['machine']}, load {body['load'][0]} to {body['load'][1]}"]
    for r in body["results"]:
        value = "-" if r["value"] is None else f"{r['value']:.4g}"
        sign = "at least" if r["better"] == "higher" else "at most"
        bound = "" if r["bound"] is None else f"{sign} {r['bound']:g}"
        state = {True: "", False: "MISSED", None: "not measured"}[r["ok"]]
        lines.append(f"{r['name']:<44}{value:>10} {r['unit']:<18}{bound:<16}{state} {r.get('reason', '')}".rstrip())
    return "\n".join(lines)


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number of `least` or more."""

    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of {least} or more")
        return int(text)

    return whole


def parts_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of an option that names some of these, a comma between; they come in their own order, each once."""

    def chosen(text: str) -> tuple[str, ...]:
        wanted = text.split(",")
        for name in wanted:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is no part; some of {', '.join(known)} are wanted")
        return tuple(part for part in known if part in wanted)

    return chosen


def load_average() -> float:
    """Of the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def commit() -> str:
    """Short hash of the checkout, with -dirty where it has changes; `unknown` outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def machine() -> str:
    """Processor, cores, memory, system and Python in one line; no host name."""
    parts = [
        _processor(),
        f"{len(_cores())} cores",
        _memory(),
        platform.system(),
        f"Python {platform.python_version()}",
    ]
    return ", ".join(p for p in parts if p)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _cores() -> Sequence[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError, AttributeError):
        return ""
