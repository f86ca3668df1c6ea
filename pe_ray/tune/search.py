"""A small search over what matters most for quality: rank, learning rate, weight of the balance term.

Each trial is a short training of its own from the same base, scored by the held-out loss; Ray Tune's ASHA ends those
early that are behind. The space is data: a row for each setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pe_ray.config import Config
from pe_ray.errors import PeRayError
from pe_ray.store.paths import Home

RANKS = (8, 16, 32)
BALANCE = (0.01, 0.05, 0.15)
RATES = (0.3, 3.0)
"""Times `train.learning_rate`; drawn evenly on a logarithmic scale."""
LOOKS = 4
"""Evaluations of a trial, the last at its end."""
REDUCTION = 2
"""At every look the worse half of those that came as far ends."""


def search(
    config: Config, examples_dir: Path, base_dir: Path, home: Home, run_id: str, *, trials: int, steps: int
) -> dict[str, Any]:
    """Run the trials; the settings of the best one, every trial in a row, and why, in words.

    Needs a connected Ray. Raises PeRayError if no trial reached an evaluation.
    """
    from ray import tune as ray_tune
    from ray.tune.schedulers import ASHAScheduler

    space = {
        "rank": ray_tune.choice(list(RANKS)),
        "learning_rate": ray_tune.loguniform(*(config.train.learning_rate * x for x in RATES)),
        "balance_coef": ray_tune.choice(list(BALANCE)),
    }
    given = {"config": config, "examples": str(examples_dir), "base": str(base_dir), "steps": steps}
    tuner = ray_tune.Tuner(
        ray_tune.with_resources(ray_tune.with_parameters(_trial, given=given, environ=home.environ), _resources()),
        param_space=space,
        tune_config=ray_tune.TuneConfig(
            metric="eval_loss",
            mode="min",
            num_samples=trials,
            max_concurrent_trials=config.tune.parallel,
            scheduler=ASHAScheduler(
                time_attr="steps", max_t=steps, grace_period=_every(steps), reduction_factor=REDUCTION
            ),
        ),
        run_config=ray_tune.RunConfig(name="search", storage_path=str(home.run(run_id)), verbose=0),
    )
    rows = [_row(result) for result in tuner.fit()]
    return {"trials": rows} | choose(rows, steps)


def choose(rows: Sequence[Mapping[str, Any]], steps: int) -> dict[str, Any]:
    """The settings with the lowest held-out loss among those that came to the end, and the reason in words."""
    whole = [r for r in rows if r["eval_loss"] is not None and r["steps"] >= steps]
    if not whole:
        raise PeRayError(f"tune: none of {len(rows)} trials came to its end; see Ray's logs, or give more steps")
    best = min(whole, key=lambda r: r["eval_loss"])
    worst = max(whole, key=lambda r: r["eval_loss"])
    why = (
        f"rank {best['rank']}, learning rate {best['learning_rate']:.2g} and balance {best['balance_coef']:g} had the "
        f"lowest held-out loss after {steps} steps, {best['eval_loss']:.4f}"
    )
    if worst is not best:
        why += f", against {worst['eval_loss']:.4f} for the worst of {len(whole)} that were trained as long"
    ended = len(rows) - len(whole)
    why += f"; {ended} were ended early" if ended else ""
    return {"chosen": {k: best[k] for k in ("rank", "learning_rate", "balance_coef")}, "why": why}


def settings(config: Config, drawn: Mapping[str, Any], steps: int) -> Config:
    """The run of one trial: alpha grows with the rank, so that every trial scales its deltas alike."""
    model, train = config.model, config.train
    alpha = model.alpha * drawn["rank"] / model.rank
    changed = {"rank": drawn["rank"], "alpha": alpha, "balance_coef": drawn["balance_coef"]}
    short = {"learning_rate": drawn["learning_rate"], "steps": steps, "eval_every_steps": _every(steps), "workers": 0}
    short |= {"patience": LOOKS + 1}
    return config.model_copy(
        update={"model": model.model_copy(update=changed), "train": train.model_copy(update=short)}
    )


def _every(steps: int) -> int:
    return max(1, steps // LOOKS)


def _trial(params: dict[str, Any], *, given: dict[str, Any], environ: dict[str, str]) -> None:
    import os

    from ray import tune as ray_tune

    from pe_ray.train.short import train_short

    os.environ.update(environ)
    config = settings(given["config"], params, given["steps"])

    def tell(step: int, eval_loss: float) -> None:
        ray_tune.report({"steps": step, "eval_loss": eval_loss})

    train_short(config, Path(given["examples"]), Path(given["base"]), tell)


def _row(result: Any) -> dict[str, Any]:
    metrics = result.metrics or {}
    drawn = {k: result.config[k] for k in ("rank", "learning_rate", "balance_coef")}
    return drawn | {"steps": metrics.get("steps", 0), "eval_loss": metrics.get("eval_loss")}


def _resources() -> dict[str, float]:
    import ray

    return {"CPU": 1, "GPU": 1} if ray.cluster_resources().get("GPU") else {"CPU": 1}
