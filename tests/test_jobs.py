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
from collections.abc import Callable, Iterator
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
        environ |= {"RAY_ADDRESS": f"http://127.0.0.1:{dashboard}"}
        _takes_jobs(environ)
        yield {**environ, "PE_RAY_HOME": str(tmp_path / "home")}
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _takes_jobs(environ: dict[str, str]) -> None:
    """The dashboard answers some seconds before the agent is there that starts jobs."""
    for _ in range(30):
        tried = subprocess.run([str(RAY), "job", "submit", "--", "true"], env=environ, capture_output=True, text=True)
        if tried.returncode == 0:
            return
        time.sleep(1)
    raise AssertionError(tried.stdout + tried.stderr)


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


@pytest.mark.slow
def test_a_submitted_job_survives_a_killed_worker(cluster: dict[str, str], tmp_path: Path) -> None:
    """Two Ray Train workers, one of them killed with SIGKILL: SUCCEEDED, every step once, the story in the log."""
    home = Path(cluster["PE_RAY_HOME"])
    steps, told = 300, ["train.workers=2", "train.steps=300", "train.checkpoint_every_steps=10", "train.micro_batch=1"]
    told += [
        "train.accumulation=2",
        "train.context=64",
        "train.threads=1",
        "base.tiny.steps=5",
        "corpus.engine=local",
        "train.patience=1000",
    ]
    told += ["base.tiny.width=32", "base.tiny.heads=2", "base.tiny.kv_heads=1", "base.tiny.layers=1"]
    entry = ["python", "jobs/train_moe.py", "--config", "jobs/configs/quickstart.yaml", "--run-id", "killed"]
    sets = [part for value in [*told, "train.profile=balanced"] for part in ("--set", value)]
    runtime = json.dumps({"env_vars": {"PE_RAY_HOME": str(home)}, "excludes": ["/.git", "/.venv", "/.pe_ray"]})
    command = [str(RAY), "job", "submit", "--working-dir", str(REPOSITORY), "--runtime-env-json", runtime, "--"]
    said = tmp_path / "job.log"
    with said.open("w") as log:
        job = subprocess.Popen([*command, *entry, *sets], env=cluster, stdout=log, stderr=subprocess.STDOUT)
        try:
            run_dir = home / "runs" / "killed"
            _wait_until(lambda: _num_steps(run_dir) >= 25, job, said)
            os.kill(json.loads((run_dir / "pids.json").read_text())["workers"][1], signal.SIGKILL)
            assert job.wait(900) == 0, said.read_text()[-3000:]
        finally:
            job.kill()
    text = said.read_text()
    print(text)
    assert "succeeded" in text.lower()
    assert re.search(r"after step \d+ a worker was lost; all are started again and go on from step \d+", text), text[
        -3000:
    ]
    summary = json.loads((run_dir / "summary.json").read_text())["stages"]["train"]
    assert summary["steps"] == steps and summary["stop_reason"] == "steps"
    lines = [json.loads(raw)["step"] for raw in (run_dir / "steps.jsonl").read_text().splitlines()]
    assert len(lines) > steps and sorted(set(lines)) == list(range(1, steps + 1))


def _num_steps(run_dir: Path) -> int:
    log = run_dir / "steps.jsonl"
    return len(log.read_bytes().splitlines()) if log.exists() else 0


def _wait_until(condition: Callable[[], bool], job: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + 900
    while not condition():
        assert job.poll() is None, said.read_text()[-3000:]
        assert time.monotonic() < deadline, said.read_text()[-3000:]
        time.sleep(0.05)
