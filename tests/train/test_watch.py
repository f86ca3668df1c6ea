from __future__ import annotations

import io
import json
import os
import time
from dataclasses import asdict

import pytest
from rich.console import Console

from pe_ray.config import dump
from pe_ray.errors import UserError
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train import process, steplog
from pe_ray.train.view import ENDING_S, STARTING_S, Watched
from pe_ray.train.watch import watch
from tests.train.conftest import make_config


def line(step: int, elapsed_s: float, **more) -> dict:
    known = {"step": step, "loss": 1.0 + step, "terms": {"lm": 1.5, "balance": 2.0}, "lr": 1e-3, "tokens": 100}
    return known | {"elapsed_s": elapsed_s, "horizon_steps": 12, "expert_share": [0.1, 0.2, 0.3, 0.4]} | more


@pytest.fixture
def home(tmp_path) -> Home:
    """A run that was begun just now, by a configuration with a window of 600 s."""
    home = Home.at(tmp_path)
    run = home.run("r")
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(dump(make_config()))
    (run / "plan.json").write_text("{}")
    return home


def write(home: Home, *lines: dict) -> None:
    with steplog.StepLog(home.run("r") / steplog.NAME) as log:
        for each in lines:
            log.write(each)


def shown(home: Home, **more) -> str:
    out = Console(file=io.StringIO(), width=160)
    watch(home, "r", console=out, **more)
    return out.file.getvalue()


def test_a_run_that_trains_shows_its_figures(home) -> None:
    write(home, *[line(s, 2.0 * s) for s in range(1, 7)], line(7, 15.0, eval_loss=2.5))
    process.write_pids(home.run("r"), os.getpid(), [])
    view = Watched(home, "r").look()
    assert (view.state, view.pids, view.step, view.tokens) == ("training", (os.getpid(),), 7, 700)
    assert view.step_s == pytest.approx(13 / 6) and view.tokens_per_s == pytest.approx(600 / 13)
    assert view.predicted_end_s == pytest.approx(15 + 5 * 13 / 6) and (view.eval_loss, view.eval_step) == (2.5, 7)
    assert view.expert_share["psychology"] == 0.1 and view.checkpoint is None and not view.over
    assert json.loads(json.dumps(asdict(view)))["window_s"] == 600.0


def test_one_frame_is_readable(home) -> None:
    write(home, line(1, 1.0), line(2, 2.0, loss=None, terms={}, skipped=True), line(3, 4.0, eval_loss=2.5))
    with manifest.stage(home.run("r") / "checkpoints" / "step_000003", kind="checkpoint", parents={}) as out:
        out.facts.update({"step": 3, "eval_loss": 2.5})
    process.write_pids(home.run("r"), os.getpid(), [])
    text = shown(home, once=True)
    for part in ("run r: training", "3 of 12", "0:00:04 of 0:10:00", "psychology 10%", "2.5000 at step 3", "skipped"):
        assert part in text
    assert "step 3, " in text and "before the window ends" in text and "balance" in text


def test_a_run_that_the_window_bounds_is_told_so(home) -> None:
    write(home, *[line(s, 50.0 * s) for s in (1, 2, 3)])
    process.write_pids(home.run("r"), os.getpid(), [])
    assert "the window bounds it" in shown(home, once=True)


def test_a_torn_line_waits_until_it_is_whole(home) -> None:
    path, watched = home.run("r") / steplog.NAME, Watched(home, "r")
    path.write_text(json.dumps(line(1, 1.0)) + "\n" + json.dumps(line(2, 2.0))[:30])
    assert watched.look().step == 1
    path.write_text(json.dumps(line(1, 1.0)) + "\n" + json.dumps(line(2, 2.0)) + "\n")
    assert watched.look().step == 2
    with path.open("ab") as f:
        f.write(b'\x00\xff{"step": 3, "lo\n[3]\n')
    assert watched.look().step == 2


def test_after_a_restart_the_last_line_of_a_step_wins(home) -> None:
    watched = Watched(home, "r")
    write(home, *[line(s, float(s)) for s in (1, 2, 3, 4)])
    assert watched.look().step == 4
    write(home, line(3, 6.0, loss=9.0))
    view = watched.look()
    assert (view.step, view.last["loss"], view.tokens, view.elapsed_s) == (3, 9.0, 300, 6.0)


def test_a_log_that_was_rolled_back_is_read_anew(home) -> None:
    path, watched = home.run("r") / steplog.NAME, Watched(home, "r")
    write(home, *[line(s, float(s)) for s in (1, 2, 3, 4)])
    watched.look()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert (watched.look().step, len(watched.steps)) == (2, 2)


def test_the_states_of_a_run(home) -> None:
    run, watched, now_s = home.run("r"), Watched(home, "r"), time.time()
    assert watched.look(now_s).state == "starting" and watched.look(now_s + STARTING_S + 1).state == "ended"
    os.utime(run / "plan.json", (now_s - 60, now_s - 60))
    write(home, line(1, 1.0))
    assert watched.look(now_s).state == "ending" and watched.look(now_s + ENDING_S + 1).state == "ended"
    process.write_pids(run, os.getpid(), [])
    assert watched.look().state == "training"
    (run / "stop").touch()
    assert watched.look().state == "stopping"
    (run / "pids.json").unlink()
    (run / "report.html").touch()
    assert watched.look().state == "done" and watched.look().stop_reason is None
    (run / "summary.json").write_text(json.dumps({"stages": {"train": {"stop_reason": "window"}}}))
    assert watched.look().stop_reason == "window" and "wall-clock window was used up" in shown(home)
    os.utime(run / "plan.json", (now_s + 60, now_s + 60))  # started again
    assert watched.look(now_s + 61).state == "starting"


def test_it_follows_until_the_run_ends(home) -> None:
    run, slept = home.run("r"), []
    write(home, line(1, 1.0))
    process.write_pids(run, os.getpid(), [])

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        write(home, line(1 + len(slept), 1.0 + len(slept)))
        if len(slept) == 3:
            (run / "pids.json").unlink()
            (run / "report.html").touch()

    for terminal in (False, True):
        slept.clear()
        (run / "report.html").unlink(missing_ok=True)
        process.write_pids(run, os.getpid(), [])
        out = Console(file=io.StringIO(), force_terminal=terminal, width=160)
        view = watch(home, "r", every_s=0.5, console=out, sleep=sleep)
        assert slept == [0.5] * 3 and (view.state, view.step) == ("done", 4) and "run r: done" in out.file.getvalue()


def test_a_run_without_steps_has_a_frame(home) -> None:
    assert "run r: starting" in shown(home, once=True) and "none yet" in shown(home, once=True)


def test_an_unknown_run_names_the_ones_there_are(home) -> None:
    with pytest.raises(UserError, match=r"run_id=q: is no training run; known: r"):
        watch(home, "q", once=True)
