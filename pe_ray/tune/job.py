"""Ray Tune measures the profiles, one trial each, one at a time so that they do not disturb each other.

It searches too: `search` runs short trainings over what `search.py` draws.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pe_ray.config import Config
from pe_ray.store.paths import Home
from pe_ray.train.profiles import resolve
from pe_ray.tune import search as space
from pe_ray.tune.choose import choose


def tune(config: Config, examples_dir: Path, base_dir: Path, home: Home, run_id: str) -> dict[str, Any]:
    """Measure `config.tune.profiles` and choose; returns the "tune" stage of summary.json with a `why` beside it.

    Each trial runs a few micro-steps of the real model on the real examples in a process of its own. Raises ValueError
    if no profile fits. Needs a connected Ray.
    """
    from ray import tune as ray_tune

    tuner = ray_tune.Tuner(
        ray_tune.with_resources(
            ray_tune.with_parameters(
                _trial, config=config, examples_dir=str(examples_dir), base_dir=str(base_dir), environ=home.environ
            ),
            _resources(),
        ),
        param_space={"profile": ray_tune.grid_search(list(config.tune.profiles))},
        tune_config=ray_tune.TuneConfig(max_concurrent_trials=config.tune.parallel),
        run_config=ray_tune.RunConfig(name="tune", storage_path=str(home.run(run_id)), verbose=0),
    )
    results = tuner.fit()
    trials = [_row(name, results[i]) for i, name in enumerate(config.tune.profiles)]
    contexts = {name: resolve(name, config).context for name in config.tune.profiles}
    choice = choose(trials, contexts, config.train.window_s - config.train.margin_s)
    return {"chosen": choice.profile, "trials": trials, "why": choice.why}


def search(
    config: Config, examples_dir: Path, base_dir: Path, home: Home, run_id: str, *, trials: int, steps: int
) -> dict[str, Any]:
    """Run the trials; the settings of the best one, every trial in a row, and why, in words.

    Needs a connected Ray. Raises PeRayError if no trial reached an evaluation.
    """
    from ray import tune as ray_tune
    from ray.tune.schedulers import ASHAScheduler

    params = {
        "rank": ray_tune.choice(list(space.RANKS)),
        "learning_rate": ray_tune.loguniform(*(config.train.learning_rate * x for x in space.RATES)),
        "balance_coef": ray_tune.choice(list(space.BALANCE)),
    }
    given = {"config": config, "examples": str(examples_dir), "base": str(base_dir), "steps": steps}
    tuner = ray_tune.Tuner(
        ray_tune.with_resources(
            ray_tune.with_parameters(_short_trial, given=given, environ=home.environ), _resources()
        ),
        param_space=params,
        tune_config=ray_tune.TuneConfig(
            metric="eval_loss",
            mode="min",
            num_samples=trials,
            max_concurrent_trials=config.tune.parallel,
            scheduler=ASHAScheduler(
                time_attr="steps", max_t=steps, grace_period=space.every(steps), reduction_factor=space.REDUCTION
            ),
        ),
        run_config=ray_tune.RunConfig(name="search", storage_path=str(home.run(run_id)), verbose=0),
    )
    rows = [_short_row(result) for result in tuner.fit()]
    return {"trials": rows} | space.choose(rows, steps)


def _trial(
    params: dict[str, Any], *, config: Config, examples_dir: str, base_dir: str, environ: dict[str, str]
) -> None:
    import os

    from ray import tune as ray_tune

    from pe_ray.train.measure import measure

    os.environ.update(environ)
    found = measure(config, resolve(params["profile"], config), Path(examples_dir), Path(base_dir))
    ray_tune.report(
        {
            "tokens_per_s": found.tokens_per_s,
            "peak_memory_gib": found.peak_memory_gib,
            "predicted_finish_s": found.predicted_finish_s,
            "fits": found.fits,
            "reason": found.reason,
            "micro_batch": found.micro_batch,
            "accumulation": found.accumulation,
            "largest_micro_batch": found.largest_micro_batch,
        }
    )


def _row(profile: str, result: Any) -> dict[str, Any]:
    keys = ("tokens_per_s", "peak_memory_gib", "predicted_finish_s", "fits", "reason")
    keys += ("micro_batch", "accumulation", "largest_micro_batch")
    if result.error is not None or not result.metrics:
        reason = f"the trial failed: {type(result.error).__name__}"
        return {"profile": profile, **dict.fromkeys(keys), "fits": False, "reason": reason}
    return {"profile": profile, **{k: result.metrics.get(k) for k in keys}}


def _short_trial(params: dict[str, Any], *, given: dict[str, Any], environ: dict[str, str]) -> None:
    import os

    from ray import tune as ray_tune

    from pe_ray.train.short import train_short

    os.environ.update(environ)
    config = space.settings(given["config"], params, given["steps"])

    def tell(step: int, eval_loss: float) -> None:
        ray_tune.report({"steps": step, "eval_loss": eval_loss})

    train_short(config, Path(given["examples"]), Path(given["base"]), tell)


def _short_row(result: Any) -> dict[str, Any]:
    metrics = result.metrics or {}
    drawn = {k: result.config[k] for k in space.DRAWN}
    return drawn | {"steps": metrics.get("steps", 0), "eval_loss": metrics.get("eval_loss")}


def _resources() -> dict[str, float]:
    import ray

    return {"CPU": 1, "GPU": 1} if ray.cluster_resources().get("GPU") else {"CPU": 1}
