"""Twelve hours in a moment: the window with a clock that jumps."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_ray.train.checkpoint import Checkpoints
from pe_ray.train.packing import TrainBatches, evaluation_batches
from pe_ray.train.schedule import Schedule
from pe_ray.train.steplog import StepLog
from pe_ray.train.window import PARTS, Window
from tests.train.toy import SHAPE, Clock, toy_examples, toy_fit, toy_settings

HOUR_S = 3600.0


def test_twelve_hours_end_in_time_and_annealed() -> None:
    lines, clock = _run(12 * HOUR_S, 0.5 * HOUR_S, step_s=400.0)
    elapsed = clock.now_s - 100.0
    assert 11.5 * HOUR_S <= elapsed < 11.5 * HOUR_S + 400 + 1
    assert len(lines) == pytest.approx(11.5 * HOUR_S / 400, abs=1.5)
    assert lines[-1]["lr"] <= 1e-2 * (0.1 + 0.01)
    assert max(line["lr"] for line in lines) > 0.9e-2


@given(st.lists(st.floats(20.0, 120.0), min_size=3, max_size=7))
def test_it_anneals_when_the_step_time_wanders(times: list[float]) -> None:
    rates, elapsed_s = _simulate(2 * HOUR_S, 300.0, lambda i: times[i % len(times)])
    assert rates[-1] <= 0.1 + 0.01
    assert elapsed_s <= 2 * HOUR_S - 300 + max(times) + 1e-6


def test_it_anneals_when_the_machine_gets_slower_half_way() -> None:
    rates, _ = _simulate(2 * HOUR_S, 300.0, lambda i: 20.0 if i < 150 else 60.0)
    assert rates[-1] <= 0.1 + 0.01


def test_the_horizon_is_told_every_24th_and_stands_still_between() -> None:
    lines, _ = _run(24 * 100.0, 0.0, step_s=10.0, max_steps=5000)
    horizons = [line["horizon_steps"] for line in lines]
    assert horizons[:10] == [5000] * 10 and horizons[-1] == len(lines) == 240
    changes = [i for i in range(1, 240) if horizons[i] != horizons[i - 1]]
    assert len(changes) <= PARTS and changes[0] == 10


def test_steps_bound_a_run_that_the_window_would_let_go_on() -> None:
    lines, _ = _run(12 * HOUR_S, 0.0, step_s=1.0, max_steps=20)
    assert len(lines) == 20 and {line["horizon_steps"] for line in lines} == {20}


def test_evaluations_that_take_time_do_not_carry_a_run_past_its_window() -> None:
    clock = Clock()

    class Slow(list):
        """Held-out batches; reading them takes 40 seconds."""

        def __iter__(self):
            clock.jump(40.0)
            return super().__iter__()

    held_out = Slow(evaluation_batches(toy_examples(8, seed=2), SHAPE, pad_id=0, max_tokens=10_000))
    settings = toy_settings(steps=10**6, eval_every_steps=3, patience=10**6)
    window = Window(1000.0, 10.0, clock)
    result = toy_fit(
        window=window, clock=clock, settings=settings, evaluation=held_out, on_step=lambda line: clock.jump(30.0)
    )
    assert result.stop_reason == "window" and result.state.eval_step == result.state.step
    assert 900 < window.elapsed_s <= 1000.0 - 10.0 + 30.0


def test_a_real_clock_of_two_seconds_is_kept() -> None:
    lines: list[dict] = []
    window = Window(2.0, 0.2)
    result = toy_fit(window=window, settings=toy_settings(steps=10**6, patience=10**6), on_step=lines.append)
    longest = max(b["elapsed_s"] - a["elapsed_s"] for a, b in itertools.pairwise(lines))
    assert result.stop_reason == "window" and window.elapsed_s <= 1.8 + 2 * longest + 0.05
    assert lines[-1]["lr"] <= 1e-2 * (0.1 + 0.01)


def test_a_step_that_is_longer_than_the_margin_does_not_begin_too_late() -> None:
    clock = Clock()
    window = Window(60.0, 5.0, clock)
    for step in range(3):
        assert not window.over()
        window.horizon(step, 1000, 1000)
        clock.jump(18.0)  # 54 s after three: before the deadline of 55, and a fourth step would end at 72
    window.horizon(3, 1000, 1000)
    assert window.elapsed_s < window.deadline_s and window.over()
    short = Window(60.0, 5.0, clock, step_s=4.0)
    clock.jump(54.0)
    assert not short.over()  # the margin holds it


def test_a_restart_does_not_get_its_window_again(tmp_path) -> None:
    def attempt(clock: Clock, stop_after: int = 10**6) -> list[dict]:
        lines: list[dict] = []

        def on_step(line):
            lines.append(line)
            clock.jump(10.0)
            if len(lines) == stop_after:
                raise KeyboardInterrupt  # nothing is saved at this moment, as with a kill

        with StepLog(tmp_path / "steps.jsonl") as log:
            with contextlib.suppress(KeyboardInterrupt):
                toy_fit(
                    window=Window(500.0, 20.0, clock),
                    clock=clock,
                    log=log,
                    on_step=on_step,
                    evaluation=[],
                    checkpoints=Checkpoints(tmp_path / "checkpoints", parents={}),
                    settings=toy_settings(steps=10**6, checkpoint_every_steps=8),
                )
        return lines

    first = attempt(Clock(), stop_after=20)
    assert first[-1]["step"] == 20 and first[-1]["elapsed_s"] == pytest.approx(190.0)
    second = attempt(Clock())
    # the checkpoint of step 16 knew of 150 s, the step log of 190: the larger counts
    assert second[0]["step"] == 17 and second[0]["elapsed_s"] == pytest.approx(190.0)
    assert second[-1]["elapsed_s"] <= 500.0 - 20.0 + 10.0
    assert len(second) == pytest.approx((480 - 190) / 10, abs=1.5)
    assert second[-1]["lr"] <= 1e-2 * (0.1 + 0.01)
    assert attempt(Clock()) == []


def test_a_run_restarted_near_its_end_still_anneals(tmp_path) -> None:
    window = Window(2400.0, 100.0, Clock())
    window.resume(2250.0, step_s=10.0)
    assert window.horizon(200, 10**6, current=230) == 205


def test_a_run_killed_before_its_first_checkpoint_goes_by_the_pace_in_its_log(tmp_path) -> None:
    lines: list[dict] = []
    (tmp_path / "steps.jsonl").write_text('{"step": 10, "elapsed_s": 300.0}\n' + '{"step": 11, "elapsed_s": 400.0}\n')
    clock = Clock()
    with StepLog(tmp_path / "steps.jsonl") as log:
        assert log.pace_s == 200.0
        toy_fit(window=Window(1600.0, 0.0, clock), clock=clock, log=log, evaluation=[], on_step=lines.append,
                batches=Endless(clock, 200.0), settings=toy_settings(steps=10**6))  # fmt: skip
    assert lines[0]["horizon_steps"] == 6 == len(lines) and lines[-1]["lr"] <= 1e-2 * 0.11


def test_the_margin_must_leave_time_to_train() -> None:
    with pytest.raises(ValueError, match="margin_s=20 is not shorter than window_s=20"):
        Window(20.0, 20.0)


@given(st.floats(1.0, 1e5), st.floats(0.0, 0.9), st.floats(0.0, 2e5), st.integers(0, 10**5), st.integers(1, 10**6))
def test_a_horizon_lies_between_what_is_done_and_what_is_allowed(window_s, share, elapsed_s, step, extra) -> None:
    window = Window(window_s, window_s * share, Clock())
    window.resume(elapsed_s, step_s=1.0)
    horizon = window.horizon(step, step + extra, current=step + extra)
    assert step <= horizon <= step + extra
    assert window.over() == (elapsed_s >= window.deadline_s or elapsed_s + 1.0 > window_s)


def _simulate(window_s: float, margin_s: float, step_s) -> tuple[list[float], float]:
    """The rates (of a peak of 1) and the seconds of a run, without a model."""
    clock, schedule = Clock(), Schedule(1.0, 0.1, 1000)
    window, rates, horizon = Window(window_s, margin_s, clock), [], 10**6
    horizon = window.horizon(0, 10**6, horizon)
    while not window.over():
        rates.append(schedule.rate(len(rates), horizon))
        clock.jump(step_s(len(rates)))
        horizon = window.horizon(len(rates), 10**6, horizon)
    return rates, window.elapsed_s


class Endless:
    """The same micro-batch for ever; time passes as it is handed out."""

    def __init__(self, clock: Clock, step_s: float) -> None:
        self.clock, self.step_s = clock, step_s
        self.one = next(TrainBatches(toy_examples(6), SHAPE, 7, pad_id=0).start(0))[:1]

    def start(self, step: int):
        while True:
            self.clock.jump(self.step_s)
            yield self.one


def _run(window_s: float, margin_s: float, *, step_s: float, max_steps: int = 10**6) -> tuple[list[dict], Clock]:
    """The lines and the clock of a run whose steps take `step_s`."""
    clock, lines = Clock(), []
    settings = toy_settings(steps=max_steps)
    toy_fit(window=Window(window_s, margin_s, clock), clock=clock, batches=Endless(clock, step_s), evaluation=[],
            settings=settings, on_step=lines.append)  # fmt: skip
    return lines, clock
