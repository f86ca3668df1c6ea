"""What tests share: one local Ray cluster, a home in a temporary directory, one torch thread."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_raylet_start_wait_time_s", "150")
os.environ.setdefault("RAY_memory_usage_threshold", "0.98")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("RAY_ADDRESS", None)

# Token authentication is on, as users have it; Ray reads the mode when it is imported.
TOKEN = Path(tempfile.mkdtemp(prefix="pe_ray-test-")) / "token"
TOKEN.write_text("0123456789abcdef" * 4)
TOKEN.chmod(0o600)
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN_PATH"] = str(TOKEN)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty PE_RAY_HOME."""
    from pe_ray.store.paths import Home

    found = Home.at(tmp_path / "home")
    for name, value in found.environ.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One cluster in this process for all tests marked `ray`."""
    import ray

    for attempt in range(3):  # a busy machine can outlast Ray's own start-up wait
        try:
            ray.init(num_cpus=4, include_dashboard=False, object_store_memory=150 * 2**20, logging_level="ERROR")
            break
        except Exception:
            ray.shutdown()
            if attempt == 2:
                raise
            time.sleep(2)
    yield
    ray.shutdown()
