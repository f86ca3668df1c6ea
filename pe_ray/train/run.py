"""A training run in this process, and the export of what it made.

    result = train(config, examples_dir, base, home, "first", profile_name="balanced")
    export(config, result.checkpoint, base, home)

`job.py` runs `train_rank` on every Ray Train worker; the files and the samples are the same.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pe_ray.config import Config
from pe_ray.model.inject import trainable_share
from pe_ray.store.paths import Home
from pe_ray.train import process, report, setup, steplog, watchdog
from pe_ray.train.collective import Alone, Collective
from pe_ray.train.export import export
from pe_ray.train.loop import fit
from pe_ray.train.metrics import Mirror, Send
from pe_ray.train.objective import Experts
from pe_ray.train.setup import Plan
from pe_ray.train.shard import shard
from pe_ray.train.state import FitResult
from pe_ray.train.window import Window

__all__ = ["TrainResult", "export", "train", "train_rank"]

OnStep = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class TrainResult:
    """The checkpoint with the best evaluation, and the "train" stage of summary.json."""

    checkpoint: Path
    stage: dict[str, Any]


def train(
    config: Config,
    examples_dir: Path,
    base: str | Path,
    home: Home,
    run_id: str,
    *,
    profile_name: str | None = None,
    fitted: tuple[int, int] | None = None,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Train in this process; the same id goes on where it was. SIGTERM or Ctrl-C stop it after the current step.

    Writes `runs/<id>/`: config.yaml, plan.json, steps.jsonl, checkpoints/, report.html, and pids.json while it runs.
    Raises RunConflict if the id belongs to another configuration.
    """
    started = time.time()
    plan = setup.begin(config, examples_dir, base, home, run_id, profile_name, fitted)
    with recorded(plan, home):
        process.write_pids(plan.run_dir, os.getpid(), [])
        hang_s = config.train.hang_s
        with watchdog.watched(plan.run_dir, hang_s, partial(watchdog.end_process, plan.run_dir, hang_s)):
            stage = train_rank(plan, Alone(), started=started, on_step=on_step)
        assert stage is not None
    return finish(plan, stage)


@contextmanager
def recorded(plan: Plan, home: Home) -> Iterator[None]:
    """While the block runs, it can be stopped gracefully; how it ended is noted in the table of runs."""
    from pe_ray.store.ops import Runs

    runs, run_id = Runs(home), plan.parents["run"]
    try:
        with process.stoppable(plan.run_dir):
            yield
    except BaseException:
        runs.end(run_id, "failed")
        raise
    runs.end(run_id, "done")


def train_rank(
    plan: Plan,
    collective: Collective,
    *,
    started: float,
    on_step: OnStep | None = None,
    preempted: Callable[[], bool] | None = None,
    send: Send | None = None,
) -> dict[str, Any] | None:
    """What one rank does, from loading the base to the last checkpoint; rank 0 returns the "train" stage.

    `preempted` and `send` are the cluster's: whether a machine is being taken away, and where figures go.
    `started` is the wall-clock time at which the run was asked for: what passes until the loop begins is start-up (with
    a restarted worker group, until the last loop begins).
    """
    config, run_dir, first = plan.config, plan.run_dir, collective.rank == 0
    with ExitStack() as stack:
        stack.enter_context(process.steady(plan.threads))
        log = None
        if first:
            stack.enter_context(process.only_writer(run_dir))
            setup.bring_back(plan)
            log = stack.enter_context(steplog.StepLog(run_dir / steplog.NAME))
        model, tokenizer = setup.build_model(config, plan.profile, plan.base, setup.device_of())
        if config.train.shard_base and collective.size > 1:
            shard(model)
        data = setup.build_data(plan, tokenizer.pad_token_id, collective)
        startup_s = time.time() - started
        window = Window(config.train.window_s, config.train.margin_s)
        mirror = Mirror(run_dir, config, send)

        def told(line: Mapping[str, Any]) -> None:
            mirror(line)
            if on_step:
                on_step(line)

        result = fit(
            model,
            data.train,
            Experts(config.model),
            profile=plan.profile,
            window=window,
            settings=setup.settings_of(config, data.steps),
            evaluation=data.evaluation,
            checkpoints=setup.checkpoints_of(plan, model),
            log=log,
            collective=collective,
            stop_asked=lambda: process.stop_asked(run_dir),
            on_step=told,
            preempted=preempted,
        )
        if not first:
            return None
        times = {"startup_s": round(startup_s, 3), "elapsed_s": round(window.elapsed_s, 3)}
        return stage_of(result, config) | times | {"trainable_share": trainable_share(model)}


def stage_of(result: FitResult, config: Config) -> dict[str, Any]:
    """The "train" stage of summary.json as far as the loop knows it; `eval_loss` is that of the checkpoint."""
    state, chosen, names = result.state, result.checkpoint, config.model.experts
    eval_loss = chosen.eval_loss if chosen and chosen.eval_loss is not None else state.eval_loss
    return {
        "steps": state.step - state.skipped_steps,
        "tokens": state.tokens,
        "tokens_per_s": round(result.tokens_per_s, 2),
        "startup_s": None,
        "stop_reason": result.stop_reason,
        "elapsed_s": None,
        "first_loss": _mean(state.first_losses),
        "last_loss": _mean(state.last_losses),
        "eval_loss_start": state.eval_loss_start,
        "eval_loss": eval_loss,
        "eval_accuracy": state.eval.get("accuracy"),
        "eval_by_domain": dict(zip(names, state.eval.get("by_domain") or (), strict=False)),
        "loss_slope": state.slope,
        "perplexity": math.exp(min(eval_loss, 700.0)) if eval_loss is not None else None,
        "expert_share": {name: _mean([row[e] for row in state.shares]) for e, name in enumerate(names)},
        "trainable_share": None,
        "checkpoint": str(chosen.path) if chosen else None,
        "skipped_steps": state.skipped_steps,
    }


def finish(plan: Plan, stage: dict[str, Any]) -> TrainResult:
    """Write the report of a run that has ended."""
    report.write(plan.run_dir, stage, plan.config, plan.profile)
    return TrainResult(Path(stage["checkpoint"]), stage)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
