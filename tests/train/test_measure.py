from __future__ import annotations

import pytest

from pe_ray.config import check
from pe_ray.train.measure import measure
from pe_ray.train.profiles import resolve
from tests.train.conftest import make_config


def tuned(**tune):
    return check(make_config().model_dump(mode="json") | {"tune": tune})


def test_a_profile_is_measured(world) -> None:
    _, _, base, examples = world
    config = make_config()
    found = measure(config, resolve("fast", config), examples, base)
    assert found.profile == "fast" and found.fits and found.reason == ""
    assert found.tokens_per_s > 0 and found.peak_memory_gib >= 0
    most = config.train.steps * resolve("fast", config).tokens  # rows are not all full
    assert 0.5 * most < found.predicted_finish_s * found.tokens_per_s <= 1.05 * most


def test_a_profile_that_recomputes_is_measured_too(world) -> None:
    _, _, base, examples = world
    config = make_config()
    assert measure(config, resolve("memory_efficient", config), examples, base).fits


def test_a_profile_that_cannot_fit_says_why(world) -> None:
    _, _, base, examples = world
    config = tuned(memory_gib=1e-6)
    found = measure(config, resolve("balanced", config), examples, base)
    assert not found.fits and "GiB of 0.0" in found.reason and found.predicted_finish_s > 0


def test_out_of_memory_is_a_reason_and_not_a_crash(world, monkeypatch: pytest.MonkeyPatch) -> None:
    from pe_ray.train import measure as module

    def no_room(*_):
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9e12 bytes")

    monkeypatch.setattr(module.Experts, "terms", no_room)
    _, _, base, examples = world
    config = make_config()
    found = measure(config, resolve("balanced", config), examples, base)
    assert not found.fits and found.reason.startswith("out of memory") and found.tokens_per_s is None


def test_a_step_too_long_to_measure_is_estimated(world) -> None:
    _, _, base, examples = world
    config = tuned(seconds_per_profile=1e-6)
    found = measure(config, resolve("balanced", config), examples, base)
    assert found.fits and "estimated" in found.reason and found.tokens_per_s > 0


def test_the_largest_micro_batch_that_fits_is_searched() -> None:
    from pe_ray.train.measure import Trial
    from pe_ray.train.profiles import Profile

    def searched(limit: float, workers: int = 0) -> tuple[int | None, int, int]:
        trial = Trial.__new__(Trial)
        trial.config, trial.profile = make_config(workers=workers), Profile("x", 4, 8, 64)
        trial._search(lambda micro_batch: 1.0 + 0.5 * micro_batch, limit)
        return trial.largest, trial.profile.micro_batch, trial.profile.accumulation

    assert searched(100.0) == (32, 4, 8)  # much more would fit: told, and not taken
    assert searched(100.0, workers=2) == (16, 4, 8)  # one pass for each worker
    assert searched(2.5) == (2, 2, 16)  # four do not fit, and two do
    assert searched(1.7) == (1, 1, 32)
    assert searched(1.2) == (None, 4, 8)


def test_a_run_takes_what_was_found_to_fit(world) -> None:
    from pe_ray.train.setup import begin

    home, _, base, examples = world
    plan = begin(make_config(), examples, base, home, "fitted", "fast", (1, 4))
    assert (plan.profile.micro_batch, plan.profile.accumulation) == (1, 4)
    again = begin(make_config(), examples, base, home, "fitted", "fast")
    assert (again.profile.micro_batch, again.profile.accumulation) == (1, 4)
