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
