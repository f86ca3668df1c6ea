"""A search tells the best settings and why; each trial is a short run of its own."""

from __future__ import annotations

import pytest

from pe_ray.errors import PeRayError
from pe_ray.train.short import train_short
from pe_ray.tune.job import search
from pe_ray.tune.search import choose, settings
from tests.train.conftest import make_config, world  # noqa: F401 (a fixture)


def row(rank: int, loss: float | None, steps: int = 8) -> dict:
    return {"rank": rank, "learning_rate": 1e-3, "balance_coef": 0.01, "steps": steps, "eval_loss": loss}


def test_the_lowest_loss_of_those_that_were_trained_as_long_is_taken() -> None:
    found = choose([row(8, 3.0), row(16, 2.5), row(32, 2.0, steps=4), row(8, None, steps=0)], 8)
    assert found["chosen"] == {"rank": 16, "learning_rate": 1e-3, "balance_coef": 0.01}
    assert "2.5000, against 3.0000 for the worst of 2" in found["why"] and "2 were ended early" in found["why"]
    with pytest.raises(PeRayError, match="none of 1 trials came to its end"):
        choose([row(8, 2.0, steps=4)], 8)


def test_a_trial_differs_in_what_was_drawn_and_in_nothing_else(world) -> None:  # noqa: F811
    _, _, base, examples = world
    config = settings(make_config(), {"rank": 8, "learning_rate": 2e-3, "balance_coef": 0.03}, 8)
    assert (config.model.rank, config.model.alpha, config.train.learning_rate) == (8, 16.0, 2e-3)
    told: list[tuple[int, float]] = []
    train_short(config, examples, base, lambda step, loss: told.append((step, loss)))
    assert [step for step, _ in told] == [2, 4, 6, 8]
    assert all(loss > 0 for _, loss in told)


@pytest.mark.ray
@pytest.mark.slow
def test_ray_tune_searches(world, ray_cluster) -> None:  # noqa: F811
    home, _, base, examples = world
    found = search(make_config(), examples, base, home, "searched", trials=2, steps=8)
    assert len(found["trials"]) == 2 and found["chosen"]["rank"] in (8, 16, 32)
    assert "lowest held-out loss after 8 steps" in found["why"]
