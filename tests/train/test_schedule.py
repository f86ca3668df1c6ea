from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_ray.train.schedule import Schedule


def test_warm_up_is_the_shorter_of_its_steps_and_three_percent() -> None:
    schedule = Schedule(1.0, 0.1, warmup_steps=1000)
    assert [schedule.rate(s, 200) for s in range(6)] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    assert schedule.rate(999, 100_000) == 1.0 and schedule.rate(499, 100_000) == 0.5


def test_it_falls_from_the_peak_to_the_floor() -> None:
    schedule = Schedule(2e-4, 0.1, warmup_steps=0)
    rates = [schedule.rate(s, 50) for s in range(60)]
    assert all(a >= b for a, b in itertools.pairwise(rates))
    assert rates[24] == pytest.approx(2e-4 * 0.55) and rates[49:] == pytest.approx([2e-5] * 11)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 5000), st.floats(0, 1))
def test_a_rate_is_never_above_the_peak_nor_zero_below_the_floor(step, horizon, warmup, floor) -> None:
    rate = Schedule(1.0, floor, warmup).rate(step, horizon)
    assert 0 <= rate <= 1 + 1e-12
    if step + 1 >= horizon:
        assert rate == pytest.approx(floor)
