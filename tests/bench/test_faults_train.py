"""What is counted against a training run that was killed, and two real kills."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from pe_ray.bench import faults_train, running
from pe_ray.bench.__main__ import main


def _log(run_dir: Path, steps: list[int], **more) -> Path:
    run_dir.mkdir(parents=True, exist_ok=True)
    lines = [{"step": s, "loss": s / 10, "elapsed_s": 3.0 * i} | more for i, s in enumerate(steps)]
    (run_dir / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run_dir


def test_a_run_is_compared_without_its_times(tmp_path: Path) -> None:
    whole, again = _log(tmp_path / "a", [1, 2, 3]), _log(tmp_path / "b", [1, 2, 2, 3], horizon_steps=9)
    assert running.exact(whole) == running.exact(again)
    assert running.exact(whole) != running.exact(_log(tmp_path / "c", [1, 2, 3], tokens=5))


@pytest.mark.parametrize(("goes_on_at", "lost"), [(7, 0), (8, 0), (4, 1)])
def test_a_checkpoint_that_was_not_gone_on_from_is_lost(tmp_path: Path, goes_on_at: int, lost: int) -> None:
    run_dir = _log(tmp_path, [*range(1, 9), *range(goes_on_at, 11)])
    (run_dir / faults_train.DEATHS).write_text(json.dumps({"lines": 8, "checkpoint": 6}) + "\n")
    assert faults_train._went_back(run_dir) == lost


def test_kills_are_spread_over_a_run_and_come_before_its_end(tmp_path: Path) -> None:
    bench = faults_train.Bench(None, faults_train.Account(), Random(1), print)  # type: ignore[arg-type]
    for kills in (1, 2, 6):
        steps = bench._steps(45, kills)
        assert len(steps) == kills and steps == sorted(set(steps)) and steps[0] >= 2 and steps[-1] < 45


def test_a_log_is_followed(tmp_path: Path) -> None:
    log = running.Log(tmp_path)
    assert log.last() == 0
    _log(tmp_path, [1, 2])
    assert log.last() == 2
    with (tmp_path / "steps.jsonl").open("a") as file:
        file.write('{"step": 2, "elapsed_s": 9}\n{"step": 3')
    assert log.lines() == [0, 1, 2, 2]


@pytest.mark.slow
def test_runs_that_are_killed_become_the_unbroken_one(capsys: pytest.CaptureFixture[str]) -> None:
    main(["faults", "train", "--json", "--no-ray", "--rounds", "2"])
    found = {row["name"]: row["value"] for row in json.loads(capsys.readouterr().out)["results"]}
    assert found["rounds"] == found["kills.process"] == 2
    assert [found[name] for name in ("lost", "duplicated", "torn", "mismatched")] == [0, 0, 0, 0]
