"""`ray job submit` of the training job on a real local cluster ends SUCCEEDED."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A head node with a dashboard and token authentication, as an operator would start it; ended by its own group."""
    folder = Path("/tmp") / f"pe{os.getpid()}"  # Ray's socket paths must stay under 107 bytes
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "150",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    dashboard = free_port()
    command = [
        *[str(RAY), "start", "--head", "--block", "--num-cpus", "4", "--port", str(free_port())],
        *["--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard), "--temp-dir", str(folder)],
        *["--object-store-memory", str(200 * 2**20), "--disable-usage-stats"],
    ]
    log = (tmp_path / "head.log").open("w")
    head = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(120):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", dashboard)) == 0:
                    break
            assert head.poll() is None, (tmp_path / "head.log").read_text()
            time.sleep(1)
        yield {**environ, "RAY_ADDRESS": f"http://127.0.0.1:{dashboard}", "PE_RAY_HOME": str(tmp_path / "home")}
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_submitted_training_job_succeeds(cluster: dict[str, str], tmp_path: Path) -> None:
    entry = ["python", "jobs/train_moe.py", "--config", "jobs/configs/quickstart.yaml", "--run-id", "submitted"]
    small = ["--set", "train.steps=6", "--set", "base.tiny.steps=10", "--set", "train.profile=balanced"]
    runtime = json.dumps(
        {"env_vars": {"PE_RAY_HOME": cluster["PE_RAY_HOME"]}, "excludes": ["/.git", "/.venv", "/.pe_ray"]}
    )
    done = subprocess.run(
        [
            str(RAY),
            "job",
            "submit",
            "--working-dir",
            str(REPOSITORY),
            "--runtime-env-json",
            runtime,
            "--",
            *entry,
            *small,
        ],
        env=cluster,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "succeeded" in done.stdout.lower()
    paths = re.findall(r"^(/\S+/runs/submitted/summary\.json)$", done.stdout, flags=re.M)
    summary = json.loads(Path(paths[-1]).read_text())
    assert summary["stages"]["train"]["steps"] == 6
    assert summary["stages"]["train"]["stop_reason"] == "steps"
