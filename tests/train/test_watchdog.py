"""A run that stands still is bitten, one that is slow or not begun is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from pe_ray.train import watchdog
from pe_ray.train.process import PIDS, write_pids
from pe_ray.train.watchdog import Watchdog
from tests.train.toy import Clock


def _dog(run_dir: Path) -> tuple[Watchdog, Clock, list[float]]:
    clock, bites = Clock(), []
    return Watchdog(run_dir, 60.0, lambda: bites.append(clock()), clock), clock, bites


def test_it_bites_once_for_every_time_that_passes_without_a_step(tmp_path) -> None:
    dog, clock, bites = _dog(tmp_path)
    write_pids(tmp_path, os.getpid(), [])
    assert not dog.look()
    for _ in range(4):
        clock.jump(50.0)
        with (tmp_path / "steps.jsonl").open("a") as log:
            log.write('{"step": 1}\n')
        assert not dog.look()
    clock.jump(59.0)
    assert not dog.look()
    clock.jump(2.0)
    assert dog.look() and not dog.look()
    clock.jump(61.0)
    assert dog.look() and len(bites) == 2


def test_it_waits_while_no_process_is_known(tmp_path) -> None:
    dog, clock, bites = _dog(tmp_path)
    for _ in range(5):
        clock.jump(100.0)
        assert not dog.look()
    write_pids(tmp_path, os.getpid(), [])
    assert not dog.look()
    clock.jump(61.0)
    assert dog.look() and len(bites) == 1


def test_workers_die_and_the_driver_does_not(tmp_path, capsys) -> None:
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        write_pids(tmp_path, os.getpid(), [worker.pid])
        watchdog.end_workers(tmp_path, 60.0)
        assert worker.wait(30) == -9
    finally:
        worker.kill()
    said = capsys.readouterr().err
    assert f"no step for train.hang_s=60 seconds; its workers [{worker.pid}] are killed" in said
    assert json.loads((tmp_path / PIDS).read_text())["driver"] == os.getpid()


def test_a_process_that_hangs_says_where_and_ends(tmp_path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from pe_ray.train import process, watchdog\n"
        "run = pathlib.Path(sys.argv[1])\n"
        "process.write_pids(run, 1, [])\n"
        "with watchdog.watched(run, 0.2, lambda: watchdog.end_process(run, 0.2), every_s=0.05):\n"
        "    time.sleep(600)\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and time.monotonic() - began < 100
    assert "no step for train.hang_s=0.2" in done.stderr and "File" in done.stderr
