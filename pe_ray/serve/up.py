"""`pe-ray serve up | down | status`: one child process with its own Ray, found again through `state/serve.json`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from pe_ray.config import Config
from pe_ray.errors import PeRayError, PortBusy, UserError
from pe_ray.security.access import is_loopback
from pe_ray.security.api_keys import ApiKeys
from pe_ray.security.keys import Keys
from pe_ray.serve.config_file import LOCAL, load_file
from pe_ray.store.manifest import write_json
from pe_ray.store.paths import Home

START_S = 300.0
STOP_S = 40.0
SERVE_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "150",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


def up(config: Config, home: Home, *, say: Callable[[str], None], file: Path = LOCAL) -> str:
    """Start serving and return the URL once /health is 200.

    Raises PortBusy, AdapterNotFound, KeyUnavailable or UserError before anything is started, PeRayError if the child
    ends or is not healthy in time.
    """
    running = _state(home)
    if running:
        raise PortBusy(f"serving already at {running['url']} (pid {running['pid']}); end it with `pe-ray serve down`")
    settings = _settings(config, home, file)
    url = f"http://{config.serve.host}:{settings['file']['http_options']['port']}"
    path, log = home.state / "serve.settings.json", home.state / "serve.log"
    write_json(path, settings)
    Path(settings["ready"]).unlink(missing_ok=True)
    say(f"starting at {url}; log: {log}")
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "pe_ray.serve.app", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **home.environ, **SERVE_ENVIRONMENT},
        )
    write_json(home.state / "serve.json", {"pid": child.pid, "url": url, "started_at": time.time()})
    try:
        _wait_healthy(child, url, Path(settings["ready"]), log)
    except BaseException:
        down(home)
        raise
    return url


def down(home: Home) -> str:
    """End what `up` started; says what happened."""
    found = _state(home)
    (home.state / "serve.json").unlink(missing_ok=True)
    if not found:
        return "nothing is being served from this home"
    process = psutil.Process(found["pid"])
    family = {process, *process.children(recursive=True)}
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        with suppress(psutil.Error):  # Ray starts a worker for each that ends, until it is told
            family |= set(process.children(recursive=True))
        with suppress(psutil.TimeoutExpired):
            process.wait(0.2)
    for one in family:  # Ray's own processes, should they outlive their parent
        with suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(list(family), timeout=5)
    return f"ended {found['url']} (pid {found['pid']})"


def status(home: Home) -> dict[str, Any]:
    """Whether it runs, where, and the health of its components."""
    found = _state(home)
    if not found:
        return {"running": False}
    try:
        health = httpx.get(f"{found['url']}/health", timeout=10).json()
    except (httpx.HTTPError, ValueError) as error:
        health = {"status": type(error).__name__}
    return {"running": True, "url": found["url"], "pid": found["pid"], "health": health}


def wait(home: Home) -> None:
    """Stay until Ctrl-C or until the served process ends, then take it down."""
    with suppress(KeyboardInterrupt):
        while _state(home):
            time.sleep(1)
    down(home)


def _settings(config: Config, home: Home, file: Path) -> dict[str, Any]:
    """Everything that the child needs, with what can be wrong found out here, where a person reads it."""
    serve = config.serve
    if serve.mode == "dev" and not is_loopback(serve.host):
        raise UserError(f"serve.host={serve.host!r}: dev mode answers over loopback only; set serve.mode=production")
    shape = load_file(file)
    port = _free_port(serve.host, serve.port)
    if serve.mode == "production":
        _check_keys(home, serve.mode)
    path = home.resolve_model(serve.model, serve.form)
    if serve.mode == "dev":  # the last thing: it may make the key
        _check_keys(home, serve.mode)
    common = {"home": str(home.root), "state": str(home.state)}
    sections = config.model_dump(mode="json", include={"serve", "progress"})
    args = {
        "gateway": {**common, **sections, "serve": {**sections["serve"], "model": str(path)}},
        "progress": {**common, "mode": serve.mode, "progress": sections["progress"]},
    }
    settled = shape.with_args(port, serve.host, args).model_dump(mode="json")
    return {"file": settled, "environ": home.environ, "ready": str(home.state / "serve.ready")}


def _check_keys(home: Home, mode: str) -> None:
    home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = Keys(home, mode)  # type: ignore[arg-type]
    if mode == "production":
        issued = ApiKeys(home, keys)
        if not any(k["revoked_at"] is None for k in issued.list()):
            issued.close()
            raise UserError(
                "serve.mode='production': no API key exists; make one with `pe-ray keys create --role client ...`"
            )
        issued.close()


def _free_port(host: str, port: int) -> int:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError as error:
            raise PortBusy(
                f"serve.port={port}: {host}:{port} cannot be used ({error.strerror}); free it or give serve.port=0"
            ) from None
        return int(s.getsockname()[1])


def _wait_healthy(child: subprocess.Popen[bytes], url: str, ready: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise PeRayError(f"serving ended while it started (exit {child.returncode}): {_last_line(log)}; see {log}")
        if ready.exists():
            with suppress(httpx.HTTPError):
                if httpx.get(f"{url}/health", timeout=10).status_code == 200:
                    return
        time.sleep(0.2)
    raise PeRayError(f"serving was not healthy within {START_S:g} s; see {log}")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def _state(home: Home) -> dict[str, Any] | None:
    """The running child; None if there is none or the number belongs to another program now."""
    path = home.state / "serve.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        process = psutil.Process(found["pid"])
        mine = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return found if mine and "pe_ray.serve.app" in process.cmdline() else None
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
