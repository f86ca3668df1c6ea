from __future__ import annotations

import pytest

from pe_ray.config import check
from pe_ray.errors import UserError
from pe_ray.train.profiles import PROFILES, resolve


def test_the_table_is_the_one_that_the_design_promises() -> None:
    assert {n: (p.micro_batch, p.accumulation, p.context) for n, p in PROFILES.items()} == {
        "fast": (8, 4, 1024),
        "balanced": (4, 8, 2048),
        "quality": (2, 16, 8192),
        "memory_efficient": (1, 32, 2048),
    }
    assert PROFILES["memory_efficient"].recompute and PROFILES["memory_efficient"].quantise == "4bit"
    assert not PROFILES["fast"].recompute
    assert all(resolve(n, check({})) == p for n, p in PROFILES.items())


@pytest.mark.parametrize("name", [None, "auto", "balanced"])
def test_auto_is_balanced_where_nothing_was_measured(name) -> None:
    assert resolve(name, check({})) == PROFILES["balanced"]


@pytest.mark.parametrize("name", list(PROFILES))
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("max_tokens", [700, 2048, 4096])
def test_caps_hold_and_every_worker_has_work(name: str, workers: int, max_tokens: int) -> None:
    config = check({"tune": {"max_context": 512, "max_tokens_per_step": max_tokens}, "train": {"workers": workers}})
    try:
        profile = resolve(name, config)
    except UserError:
        assert workers == 2 and max_tokens == 700  # one row of 512 is all that fits
        return
    assert profile.context <= 512 and profile.tokens <= max_tokens and profile.tokens > max_tokens / 2
    assert profile.accumulation >= max(1, workers)


def test_what_the_run_file_says_wins() -> None:
    train = {"micro_batch": 3, "accumulation": 5, "context": 96}
    profile = resolve("fast", check({"train": train, "tune": {"max_context": 64}}))
    assert (profile.micro_batch, profile.accumulation, profile.context) == (3, 5, 96)


def test_wrong_choices_say_what_would_be_right() -> None:
    with pytest.raises(UserError, match=r"train.profile=quick: is not one of fast, balanced"):
        resolve("quick", check({}))
    with pytest.raises(UserError, match=r"train.workers=4.*raise train.accumulation to 4"):
        resolve("fast", check({"train": {"workers": 4, "micro_batch": 2, "accumulation": 1}}))
