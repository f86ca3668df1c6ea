"""The choice follows the measurements and explains itself."""

from __future__ import annotations

import pytest

from pe_ray.tune.choose import choose

CONTEXTS = {"fast": 1024, "balanced": 2048, "quality": 8192}


def trial(profile: str, finish: float | None, reason: str = "") -> dict:
    return {"profile": profile, "predicted_finish_s": finish, "fits": finish is not None, "reason": reason}


def test_the_soonest_that_fits_is_taken() -> None:
    choice = choose([trial("fast", 100), trial("balanced", 300), trial("quality", None, "memory")], CONTEXTS, 1000)
    assert choice.profile == "fast"
    assert "100 s, against 300 s for balanced" in choice.why


def test_a_near_tie_goes_to_the_longer_context() -> None:
    choice = choose([trial("fast", 100), trial("balanced", 104), trial("quality", 106)], CONTEXTS, 1000)
    assert choice.profile == "balanced"
    assert "longest context" in choice.why


def test_a_finish_past_the_window_is_said() -> None:
    assert "the window will end the run" in choose([trial("fast", 2000)], CONTEXTS, 1000).why


def test_when_nothing_fits_every_reason_is_given() -> None:
    with pytest.raises(ValueError, match=r"fast: needs 9 GiB; quality: needs 20 GiB"):
        choose([trial("fast", None, "needs 9 GiB"), trial("quality", None, "needs 20 GiB")], CONTEXTS, 1)
