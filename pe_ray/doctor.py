"""`pe-ray doctor`: what this machine has, what listens where, and what would stop a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from pe_ray.store.paths import Home

SQLITE_FIXED = (3, 51, 3)
"""Before it, two connections that write or checkpoint at once could corrupt a WAL database."""


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis; `state` is ok, warn or bad."""

    subject: str
    state: str
    detail: str


def diagnose(home: Home, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Everything worth knowing before a run, without starting anything."""
    return [
        _python(),
        *(_package(name) for name in ("ray", "torch", "transformers", "peft", "pyarrow", "pydantic")),
        _devices(),
        _memory(),
        _shared_memory(),
        _sqlite(),
        _authentication(environ),
        *_listening(),
        _home(home),
        _keys(home),
        _disk(home),
        _data(environ),
    ]


def as_dict(findings: list[Finding]) -> dict[str, Any]:
    """For `--json`."""
    return {"ok": all(f.state != "bad" for f in findings), "findings": [asdict(f) for f in findings]}


def _python() -> Finding:
    version = platform.python_version_tuple()
    fine = (int(version[0]), int(version[1])) >= (3, 11)
    return Finding("python", "ok" if fine else "bad", f"{platform.python_version()} (3.11 or later is wanted)")


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "bad", "not installed; run `make setup`")


def _devices() -> Finding:
    import torch

    cores = psutil.cpu_count(logical=True)
    if not torch.cuda.is_available():
        return Finding("devices", "ok", f"{cores} cores, no GPU: training and serving run on the CPU")
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return Finding("devices", "ok", f"{cores} cores, GPU: {names}")


def _memory() -> Finding:
    found = psutil.virtual_memory()
    free = found.available / 2**30
    return Finding("memory", "ok" if free > 4 else "warn", f"{free:.1f} of {found.total / 2**30:.1f} GiB available")


def _shared_memory() -> Finding:
    shm = Path("/dev/shm")  # noqa: S108 (Ray's object store lives there)
    if not shm.is_dir():
        return Finding("shared memory", "warn", "no /dev/shm: Ray keeps objects on disk, which is slow")
    free = shutil.disk_usage(shm).free / 2**30
    return Finding("shared memory", "ok" if free > 0.5 else "warn", f"{free:.1f} GiB free in /dev/shm")


def _sqlite() -> Finding:
    fixed = sqlite3.sqlite_version_info >= SQLITE_FIXED
    detail = sqlite3.sqlite_version
    if not fixed:
        detail += (
            f"; before {'.'.join(map(str, SQLITE_FIXED))} several writers could corrupt a WAL database (we use one)"
        )
    return Finding("sqlite", "ok" if fixed else "warn", detail)


def _authentication(environ: Mapping[str, str]) -> Finding:
    mode = environ.get("RAY_AUTH_MODE", "")
    path = Path(environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if mode == "disabled":
        return Finding("ray authentication", "bad", "RAY_AUTH_MODE=disabled: anybody who reaches the ports runs code")
    if environ.get("RAY_AUTH_TOKEN"):
        return Finding("ray authentication", "warn", "token in RAY_AUTH_TOKEN shows in process lists; use a file")
    if not path.is_file():
        return Finding("ray authentication", "ok", f"token mode; pe-ray makes {path} when it first starts Ray")
    if path.stat().st_mode & 0o077:
        return Finding("ray authentication", "warn", f"{path} is readable by others; chmod 600")
    return Finding("ray authentication", "ok", f"token in {path}")


def _listening() -> list[Finding]:
    ours = _listeners()
    if not ours:
        return [Finding("listening", "ok", "no Ray or pe-ray process of yours listens")]
    found, wide = [], False
    for name, addresses in sorted(ours.items()):
        narrow, open_ = ({p for h, p in addresses if _is_loopback(h) is local} for local in (True, False))
        wide = wide or bool(open_)
        detail = f"loopback {_ports(narrow)} · any address {_ports(open_)}"
        found.append(Finding(f"listening: {name}", "warn" if open_ else "ok", detail))
    if wide:
        why = "Ray opens ports on every address whatever it is asked: keep them behind a firewall or a NetworkPolicy"
        found.append(Finding("listening", "warn", why))
    return found


def _listeners() -> dict[str, set[tuple[str, int]]]:
    found: dict[str, set[tuple[str, int]]] = {}
    for process in psutil.process_iter(["name", "cmdline", "uids"]):
        try:
            line = " ".join(process.info["cmdline"] or [])
            if not any(word in line for word in ("raylet", "gcs_server", "ray::", "ray/dashboard", "pe_ray", "pe-ray")):
                continue
            for c in process.net_connections(kind="tcp"):
                if c.status == psutil.CONN_LISTEN:
                    found.setdefault(process.info["name"], set()).add((c.laddr.ip, c.laddr.port))
        except psutil.Error:
            continue
    return found


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")


def _ports(ports: set[int]) -> str:
    return ", ".join(map(str, sorted(ports))) or "none"


def _home(home: Home) -> Finding:
    for folder in (home.root, home.state):
        existing = next(p for p in (folder, *folder.parents) if p.exists())
        if not os.access(existing, os.W_OK):
            return Finding("PE_RAY_HOME", "bad", f"{folder} cannot be written; set PE_RAY_HOME or PE_RAY_STATE")
    return Finding("PE_RAY_HOME", "ok", f"{home.root} (state: {home.state})")


def _keys(home: Home) -> Finding:
    files = [p for p in home.keys.rglob("*") if p.is_file()] if home.keys.is_dir() else []
    if not files:
        return Finding("keys", "ok", f"none yet; dev mode makes one under {home.keys}, production refuses to start")
    loose = [p.relative_to(home.keys) for p in files if p.stat().st_mode & 0o077]
    if loose:
        return Finding("keys", "bad", f"{loose[0]} is readable by others; chmod 600 {home.keys / loose[0]}")
    return Finding("keys", "ok", f"{len(files)} file under {home.keys}, readable by its owner only")


def _disk(home: Home) -> Finding:
    existing = next(p for p in (home.root, *home.root.parents) if p.exists())
    usage = shutil.disk_usage(existing)
    share = usage.used / usage.total
    detail = f"{usage.free / 2**30:.1f} GiB free ({share:.0%} used; Ray stops writing at 95 %)"
    return Finding("disk", "ok" if usage.free > 5 * 2**30 and share < 0.9 else "warn", detail)


def _data(environ: Mapping[str, str]) -> Finding:
    raw = environ.get("PE_RAY_DATA")
    if not raw:
        return Finding("PE_RAY_DATA", "ok", "not set; the bundled sample needs none")
    return Finding(
        "PE_RAY_DATA", "ok" if Path(raw).is_dir() else "bad", raw + ("" if Path(raw).is_dir() else " is absent")
    )
