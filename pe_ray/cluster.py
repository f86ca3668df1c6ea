"""Ray for the doors: the cluster that a submitted job runs on, or a local one that ends with the block."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pe_ray.store.paths import Home

ATTEMPTS = 3
"""Ray gives a starting node 30 seconds, which a busy machine can outlast."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "150",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # every report of Train V2 waits for the next check
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@contextmanager
def connected(home: Home) -> Iterator[None]:
    """Ray while the block runs: the cluster named by RAY_ADDRESS, else a local one with token authentication.

    Workers are handed the home, so that they write to the same place whatever their directory is.
    """
    import ray

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.update(home.environ)
    if ray.is_initialized():
        yield
        return
    given = os.environ.get("RAY_ADDRESS")
    if not given:
        ensure_token()
    _init(None if given else _local(), home)
    try:
        yield
    finally:
        ray.shutdown()


def ensure_token() -> None:
    """Turn Ray's token authentication on, with a token file that only its owner can read."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
            f.write(secrets.token_hex(32))
    elif path.stat().st_mode & 0o077 and path.stat().st_uid == os.getuid():
        path.chmod(0o600)  # Ray itself writes it with the umask's mode


def _local() -> dict[str, object]:
    cores = os.cpu_count() or 1
    return {
        # logical: a driver, two workers and their helpers must find a place on a laptop with two cores
        "num_cpus": max(4, cores),
        "include_dashboard": False,  # some 100 MB in each of its processes
        "object_store_memory": 256 * 2**20,
    }


def _init(local: dict[str, object] | None, home: Home) -> None:
    import ray

    environment = {"env_vars": home.environ}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(runtime_env=environment, logging_level=logging.ERROR, log_to_driver=False, **(local or {}))
            return
        except Exception:
            ray.shutdown()
            if attempt == ATTEMPTS:
                raise
            time.sleep(2)
