"""What every evaluation document begins with, and how its figures are listed."""

from __future__ import annotations

import math
import os
import platform
from typing import Any

import torch

from pe_ray.train.checkpoint import code_version


def header(suite: str, load_before: float) -> dict[str, Any]:
    """Suite, commit, machine, and the one-minute load average before and after."""
    load = [round(x, 2) for x in (load_before, load_average())]
    return {"suite": suite, "commit": code_version(), "machine": machine(), "load": load}


def about(area: str, load_before: float) -> dict[str, Any]:
    """The same under the key that the documents of the contract have: area, commit, machine, load."""
    found = header(area, load_before)
    return {"area": found.pop("suite"), **found}


def load_average() -> float:
    """Of the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def machine() -> str:
    """Device, cores, system and versions in one line; no host name."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [device, f"{cores} cores", platform.system(), f"Python {platform.python_version()}"]
    return ", ".join([*parts, f"torch {torch.__version__}"])


def row(name: str, value: float | None, unit: str, better: str, reason: str = "") -> dict[str, Any]:
    """One figure of `results`; a figure that could not be had is None, with the reason. There are no bounds here."""
    measured = value is not None and math.isfinite(value)
    found = {"name": name, "value": float(f"{value:.6g}") if measured else None, "unit": unit, "better": better}
    return found | {"bound": None, "ok": True if measured else None} | ({} if measured else {"reason": reason})
