from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from pe_ray.config import check
from pe_ray.errors import UserError
from pe_ray.train.calibrate import calibrate, tokens_per_step
from pe_ray.train.data import read_examples
from pe_ray.train.estimate import _predict, estimate, text
from pe_ray.train.pace import Pace, steps_of
from pe_ray.train.profiles import resolve
from pe_ray.train.run import train
from tests.train.conftest import make_config

FACTS = {
    "how": "by hand", "flops_per_token": 1e6, "peak": 1e9, "state_memory_gib": 0.1, "price_per_hour": 36.0,
    "peak_memory_gib": None, "limit_gib": None, "fits_memory": None,
}  # fmt: skip


def predicted(pace: Pace, wanted: int, tokens: float = 100.0, **train):
    config = make_config(**train)
    return _predict(config, resolve("balanced", config), pace, wanted, tokens, dict(FACTS))


def test_a_run_that_steps_bound_is_the_sum_of_its_pieces() -> None:
    # 12 steps of 2 s; evaluations before, after 4, 8 and 12, the last three saved; the last file is waited for
    found = predicted(Pace(2.0, eval_s=1.0, save_s=0.5, write_s=3.0, startup_s=10.0), 12)
    saves = 3 + (24 + 4) / 75  # by time as well: an eighth of the window, 75 s
    assert found.elapsed_s == pytest.approx(24 + 4 + saves * 0.5 + 3.0, abs=0.01)
    assert found.total_s == pytest.approx(found.elapsed_s + 10.0)
    assert (found.steps, found.bound_by, found.fits_window, found.tokens) == (12, "steps", True, 1200)
    assert found.tokens_per_s == 50.0 and found.cost == pytest.approx(found.total_s / 100, abs=1e-3)
    assert found.mfu == pytest.approx(50 * 1e6 / 1e9)


def test_a_checkpoint_slower_than_the_steps_between_two_holds_the_run_up() -> None:
    quick = predicted(Pace(1.0, write_s=1.0), 8).elapsed_s
    slow = predicted(Pace(1.0, write_s=20.0), 8).elapsed_s
    assert slow - quick > 2 * (20.0 - 8.0) - 1e-9


def test_a_window_bounds_the_steps_and_keeps_its_margin_and_an_evaluation() -> None:
    config = make_config(window_s=100.0, safety_margin_s=10.0, eval_every_steps=1000)
    steps, bound = steps_of(config, Pace(1.0, eval_s=4.0), 10**6)
    assert bound == "window" and steps == 82  # 4 + 82 = 86 = 100 - 10 - 4
    found = predicted(
        Pace(1.0, eval_s=4.0), 10**6, window_s=100.0, safety_margin_s=10.0, eval_every_steps=1000, steps=10**6
    )
    assert not found.fits_window and found.steps == 82 and found.elapsed_s == 90.0 and found.tokens == 8200


@pytest.mark.parametrize(("wanted", "bound"), [(85, "steps"), (86, "steps"), (87, "window")])
def test_the_last_step_that_fits_is_told_from_the_first_that_does_not(wanted: int, bound: str) -> None:
    config = make_config(window_s=100.0, safety_margin_s=14.0, eval_every_steps=1000)
    assert steps_of(config, Pace(1.0), wanted) == (min(wanted, 86), bound)


def test_a_step_longer_than_the_window_is_one_step() -> None:
    config = make_config(window_s=100.0)
    assert steps_of(config, Pace(1e6), 10) == (1, "window")


def test_an_estimate_measures_and_survives_json(world) -> None:
    _, _, base, examples = world
    found = estimate(make_config(), examples, base, seconds=3.0, price_per_hour=3.6)
    assert "whole steps measured here" in found.how and found.fits_memory and found.bound_by == "steps"
    assert 0 < found.mfu < 1 and found.eval_s > 0 and found.startup_s > 0 and found.peak_memory_gib >= 0
    assert found.elapsed_s >= 12 * found.step_s and found.cost == pytest.approx(found.total_s / 1000, abs=1e-4)
    assert json.loads(json.dumps(asdict(found)))["steps"] == 12
    assert "12 steps" in text(found) and "fits the window" in text(found)


def test_the_tokens_of_a_step_are_those_that_the_loop_counts(world, tmp_path) -> None:
    home, _, base, examples = world
    config = make_config(steps=20)
    seen: list[int] = []
    train(config, examples, base, home, "counted", on_step=lambda line: seen.append(line["tokens"]))
    data = read_examples(examples, "train", config.model.experts)
    assert tokens_per_step(config, resolve(None, config), data) == pytest.approx(sum(seen) / len(seen))


def test_steps_too_long_to_measure_are_put_together(world) -> None:
    _, _, base, examples = world
    config = make_config()
    found = calibrate(config, resolve(None, config), examples, base, seconds=1e-9)
    assert found.counted_steps == 0 and found.step_s > 0 and found.eval_s > 0 and "micro-step" in found.reason


def test_a_profile_that_recomputes_is_calibrated(world) -> None:
    _, _, base, examples = world
    config = make_config(accumulation=1)
    found = calibrate(config, resolve("memory_efficient", config), examples, base, seconds=1.0)
    assert found.counted_steps >= 3 and found.fits_memory


def test_what_does_not_fit_in_memory_is_told(world) -> None:
    _, _, base, examples = world
    config = check(make_config().model_dump(mode="json") | {"tune": {"memory_gib": 1e-6}})
    found = estimate(config, examples, base, seconds=0.1)
    assert found.fits_memory is False and "does not fit" in text(found) and "GiB" in found.how


def test_without_measuring_the_rate_tells_the_time(world) -> None:
    _, _, base, examples = world
    slow, fast = (
        estimate(make_config(), examples, base, measure=False, tflops=rate, peak_tflops=1e-3) for rate in (1e-6, 1e-5)
    )
    assert slow.step_s == pytest.approx(10 * fast.step_s, rel=1e-2)
    assert slow.tokens_per_s * slow.flops_per_token == pytest.approx(1e6, rel=1e-3)
    assert slow.mfu == pytest.approx(1e-3, rel=0.05) and slow.peak_memory_gib is None and slow.cost is None
    assert "not measured" in slow.how and "the peak was not measured" in text(slow)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"measure": False}, "--no-measure: needs --tflops"),
        ({"measure": False, "tflops": 0.0}, "--tflops 0"),
        ({"tflops": float("nan")}, "--tflops nan"),
        ({"peak_tflops": -1.0}, "--peak-tflops -1"),
        ({"price_per_hour": -2.0}, "--price-per-hour -2"),
        ({"seconds": 0.0}, "--seconds 0"),
    ],
)
def test_a_figure_that_is_none_is_refused_before_anything_is_loaded(tmp_path, given, told) -> None:
    with pytest.raises(UserError, match=told):
        estimate(make_config(), tmp_path / "none", tmp_path / "none", **given)


def test_a_free_machine_costs_nothing() -> None:
    config = make_config()
    found = _predict(
        config, resolve(None, config), Pace(1.0), 12, 100.0, {**FACTS, "price_per_hour": 0.0, "peak": None}
    )
    assert found.cost == 0.0 and found.mfu is None and "utilisation" not in text(found)
    assert "ends it" in text(replace(found, fits_window=False, bound_by="window"))
