"""Training on Ray Train workers: the same files as in one process, and the losses of an unbroken run after kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    assert _raw_steps(run_dir) == list(range(1, 41)) == [s["step"] for s in seen]
    # dropout differs by rank, and so the losses only nearly agree
    ours, theirs = ([s["tokens"] for s in steplog.read(home.run(i) / "steps.jsonl")] for i in ("two", "alone"))
    assert ours == theirs
    assert stage["eval_loss_start"] == pytest.approx(alone.stage["eval_loss_start"], rel=1e-5)
    assert stage["eval_loss"] == pytest.approx(alone.stage["eval_loss"], rel=0.1)


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_driver_cost_no_bit(world, tmp_path) -> None:
    home, _, base, examples = world

    @contextmanager
    def driver(run_id: str) -> Iterator[subprocess.Popen]:
        command = [sys.executable, "-c", DRIVER, str(home.root), str(examples), str(base), run_id]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (tmp_path / "driver.log").open("w") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def ended(process: subprocess.Popen) -> int:
        code = process.wait(WAIT_S)
        assert code == 0, (tmp_path / "driver.log").read_text()[-3000:]
        return code

    with driver("unbroken") as process:
        ended(process)
    run_dir = home.run("broken")
    with driver("broken") as process:
        _wait_for(lambda: len(_raw_steps(run_dir)) >= 8, process)
        os.kill(json.loads((run_dir / "pids.json").read_text())["workers"][-1], signal.SIGKILL)
        _wait_for(lambda: len(_raw_steps(run_dir)) > len(set(_raw_steps(run_dir))) + 1, process)  # workers are back
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert max(_raw_steps(run_dir)) < LONG["steps"]
    with driver("broken") as process:
        ended(process)
    whole, broken = (steplog.read(home.run(i) / "steps.jsonl") for i in ("unbroken", "broken"))
    exact = ("step", "loss", "terms", "lr", "tokens", "expert_share")
    assert [[s[k] for k in exact] for s in whole] == [[s[k] for k in exact] for s in broken]
    assert len(whole) == LONG["steps"] < len(_raw_steps(run_dir))


WAIT_S = 600.0
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


def _raw_steps(run_dir: Path) -> list[int]:
    """The steps in the order in which they were written, repeated ones too."""
    path = run_dir / "steps.jsonl"
    return [line["step"] for line in steplog.tail(path, 0)[0]]


def _wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert process.poll() is None, f"the driver ended with {process.returncode}"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
