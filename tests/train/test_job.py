"""Training on Ray Train workers: the same files as in one process, and the losses of an unbroken run after kills."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pe_ray.train import steplog
from tests.train.conftest import make_config

ROOT = Path(__file__).parents[2]
WORKERS = {"workers": 2, "checkpoint_every_steps": 3, "steps": 40, "eval_every_steps": 20, "failures": 2}


@pytest.mark.ray
def test_two_workers_write_the_same_files_and_see_the_same_samples_as_one_process(world, ray_cluster) -> None:
    from pe_ray.train import job, run

    home, _, base, examples = world
    alone = run.train(make_config(**WORKERS | {"workers": 0}), examples, base, home, "alone")
    run_dir = home.run("two")
    seen: list[dict] = []
    result = job.train(make_config(**WORKERS), examples, base, home, "two", on_step=seen.append)
    stage = result.stage
    assert stage["stop_reason"] == "steps" and stage["steps"] == 40 and stage["startup_s"] > 0
    assert not (run_dir / "pids.json").exists() and (run_dir / "report.html").exists()
    raw = [json.loads(line)["step"] for line in (run_dir / "steps.jsonl").read_text().splitlines()]
    assert raw == list(range(1, 41)) and [s["step"] for s in seen] == raw
    # dropout differs by rank, and so the losses only nearly agree
    ours, theirs = ([s["tokens"] for s in steplog.read(home.run(i) / "steps.jsonl")] for i in ("two", "alone"))
    assert ours == theirs
    assert stage["eval_loss_start"] == pytest.approx(alone.stage["eval_loss_start"], rel=1e-5)
    assert stage["eval_loss"] == pytest.approx(alone.stage["eval_loss"], rel=0.1)


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_driver_cost_no_bit(world) -> None:
    home, _, base, examples = world
    assert _drive(home, examples, base, "unbroken").wait(600) == 0
    run_dir = home.run("broken")
    process = _drive(home, examples, base, "broken")
    _kill_a_worker(run_dir, 8)
    _wait_for(lambda: _restarted(run_dir), 300)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert _drive(home, examples, base, "broken").wait(600) == 0
    whole, broken = (steplog.read(home.run(i) / "steps.jsonl") for i in ("unbroken", "broken"))
    exact = ("step", "loss", "terms", "lr", "tokens", "expert_share")
    assert [[s[k] for k in exact] for s in whole] == [[s[k] for k in exact] for s in broken]
    assert len(whole) == 400
    raw = [json.loads(line)["step"] for line in (run_dir / "steps.jsonl").read_text().splitlines()]
    assert sum(b <= a for a, b in itertools.pairwise(raw)) >= 1


LONG = WORKERS | {"steps": 400, "checkpoint_every_steps": 5, "eval_every_steps": 1000}

DRIVER = """
import sys
from pathlib import Path
from pe_ray.cluster import connected
from pe_ray.store.paths import Home
from pe_ray.train.job import train
from tests.train.conftest import make_config
from tests.train.test_job import LONG
if __name__ == "__main__":
    home, examples, base, run_id = sys.argv[1:]
    home = Home.at(home)
    with connected(home):
        train(make_config(**LONG), Path(examples), base, home, run_id)
"""


def _drive(home, examples: Path, base: Path, run_id: str) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, str(home.root), str(examples), str(base), run_id]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def _kill_a_worker(run_dir: Path, step: int) -> None:
    """SIGKILL for the last worker, once the run has done `step` steps."""
    _wait_for(lambda: len(steplog.read(run_dir / "steps.jsonl")) >= step, 300)
    os.kill(json.loads((run_dir / "pids.json").read_text())["workers"][-1], signal.SIGKILL)


def _restarted(run_dir: Path) -> bool:
    """Whether a step stands in the log twice."""
    raw = [json.loads(line)["step"] for line in (run_dir / "steps.jsonl").read_text().splitlines()]
    return len(raw) > len(set(raw)) + 3


def _wait_for(condition, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
