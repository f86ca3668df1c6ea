from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from pe_ray.errors import ManifestError, PeRayError, UserError
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train import process, steplog
from pe_ray.train.alive import alive
from pe_ray.train.checkpoint import finished
from pe_ray.train.rollback import rollback
from pe_ray.train.run import train
from tests.train.conftest import make_config

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path) -> Home:
    """A run with checkpoints of 3, 6 and 9 and a log that was written twice from step 4 on; its end is told."""
    home = Home.at(tmp_path)
    run = home.run("r")
    for step in (3, 6, 9):
        facts = {"step": step, "eval_loss": None}
        with manifest.stage(run / "checkpoints" / f"step_{step:06d}", kind="checkpoint", parents={}) as out:
            (out / "state.json").write_text(json.dumps({"step": step}))
            out.facts.update(facts)
    (run / "checkpoints" / ".step_000012.abcd").mkdir()
    with steplog.StepLog(run / steplog.NAME) as log:
        for at, step in enumerate([1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 10], start=1):
            log.write({"step": step, "elapsed_s": float(at), "loss": 1.0})
    with (run / steplog.NAME).open("ab") as f:
        f.write(b'{"step": 11, "ela')
    (run / "summary.json").write_text("{}")
    return home


def test_what_is_newer_is_moved_and_nothing_is_lost(home) -> None:
    run = home.run("r")
    before = (run / steplog.NAME).read_bytes()
    found = rollback(home, "r", 6, now=NOON)
    assert found.checkpoints == (".step_000012.abcd", "step_000009") and found.lines == 5 and found.done
    assert [c.step for c in finished(run / "checkpoints")] == [3, 6]
    assert [line["step"] for line in steplog.read(run / steplog.NAME)] == [1, 2, 3, 4, 5, 6]
    assert steplog.elapsed_s(run / steplog.NAME) == 8.0
    aside = run / "rolled_back" / "20260102-120000-step-6"
    assert found.aside == aside and (aside / "summary.json").exists() and not (run / "summary.json").exists()
    assert [c.step for c in finished(aside / "checkpoints", verify=True)] == [9]
    assert (run / steplog.NAME).read_bytes() + (aside / steplog.NAME).read_bytes() == before
    assert "back to step 6; moved 2 checkpoints, 5 lines of the log, summary.json" in found.text()


def test_a_second_time_there_is_nothing_to_move(home) -> None:
    rollback(home, "r", 6, now=NOON)
    again = rollback(home, "r", 6, now=NOON)
    assert "nothing is newer" in again.text() and (again.checkpoints, again.lines, again.files) == ((), 0, ())


def test_a_rollback_killed_after_the_checkpoints_is_finished_by_another(home) -> None:
    run = home.run("r")
    shutil.rmtree(run / "checkpoints" / "step_000009")
    found = rollback(home, "r", 3, now=NOON)
    assert "step_000006" in found.checkpoints and found.lines == 10
    assert [line["step"] for line in steplog.read(run / steplog.NAME)] == [1, 2, 3]


def test_a_dry_run_says_and_does_nothing(home) -> None:
    run = home.run("r")
    before = sorted(p.relative_to(run) for p in run.rglob("*") if p.name != "lock")
    found = rollback(home, "r", 3, dry_run=True)
    assert not found.done and "would move 3 checkpoints" in found.text()
    assert sorted(p.relative_to(run) for p in run.rglob("*") if p.name != "lock") == before


def test_an_unknown_step_names_the_ones_there_are(home) -> None:
    with pytest.raises(UserError, match=r"--to 5: run r has no finished checkpoint of that step; it has: 3, 6, 9"):
        rollback(home, "r", 5)
    with pytest.raises(UserError, match=r"run_id=none: .*known: r"):
        rollback(home, "none", 3)


def test_a_damaged_checkpoint_is_no_place_to_go(home) -> None:
    state = home.run("r") / "checkpoints" / "step_000003" / "state.json"
    state.write_text(state.read_text().replace("3", "4"))  # the same size
    with pytest.raises(ManifestError):
        rollback(home, "r", 3)
    assert [c.step for c in finished(home.run("r") / "checkpoints")] == [3, 6, 9]


def test_a_living_run_is_left_alone(home) -> None:
    process.write_pids(home.run("r"), os.getpid(), [])
    with pytest.raises(PeRayError, match=rf"r: is alive .processes {os.getpid()}.; stop it first"):
        rollback(home, "r", 3)
    assert len(finished(home.run("r") / "checkpoints")) == 3


def test_a_run_whose_lock_is_held_is_left_alone(home) -> None:
    with process.only_writer(home.run("r")), pytest.raises(PeRayError, match="another process is training it"):
        rollback(home, "r", 3)


def test_a_killed_run_is_not_alive(home, tmp_path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    process.write_pids(home.run("r"), dead.pid, [])
    assert alive(home.run("r")) == []
    process.write_pids(home.run("r"), dead.pid, [os.getpid(), os.getpid()])
    assert alive(home.run("r")) == [os.getpid()]
    os.utime(home.run("r") / process.PIDS, (1.0, 1.0))  # written long before this process began: its number only
    assert alive(home.run("r")) == []
    (home.run("r") / process.PIDS).write_text('{"driver"')
    assert alive(home.run("r")) == [] == alive(tmp_path / "none")


def test_the_run_goes_on_from_there_with_the_same_losses(world) -> None:
    home, _, base, examples = world
    config = make_config(steps=8, checkpoint_every_steps=2, keep_checkpoints=9)
    first: list[dict] = []
    train(config, examples, base, home, "back", on_step=first.append)
    rollback(home, "back", 4)
    again: list[dict] = []
    train(config, examples, base, home, "back", on_step=again.append)
    assert [line["step"] for line in again] == [5, 6, 7, 8]
    assert [line["loss"] for line in again] == [line["loss"] for line in first[4:]]
