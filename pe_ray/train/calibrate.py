"""What a run costs on this machine, step by step: a few of its own steps, one evaluation, one checkpoint.

`measure.py` runs micro-steps to rank profiles; an estimate of hours wants whole optimizer steps, packing and logging
included, because what is small in one step is large in a day of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from torch import nn

from pe_ray.config import Config
from pe_ray.train import process, setup
from pe_ray.train.checkpoint import Checkpoints
from pe_ray.train.collective import Alone
from pe_ray.train.data import Examples, read_examples
from pe_ray.train.loop import Batches, fit, recompute
from pe_ray.train.measure import Memory, Trial, limit_gib
from pe_ray.train.objective import Experts
from pe_ray.train.packing import PackedBatch, pack, stream_pieces
from pe_ray.train.profiles import Profile
from pe_ray.train.window import Window

WARM_UP = 2
"""Steps that are run and not counted: the first ones pay for allocations and for choosing kernels."""
MOST, FEWEST = 1000, 3
"""Counted steps, as many as the time allows."""
PATIENCE = 4
"""Whole steps are measured if the fewest of them take no longer than so many times the time that was given."""
COUNTED_PACKS = 20
"""Steps that are packed, by lengths alone, to see how full they are."""
PRODUCT = {"cpu": 1024, "cuda": 8192}
"""Side of the square product whose rate a utilisation is measured against."""


@dataclass(frozen=True)
class Calibration:
    """Seconds of the pieces of a run, and the memory it takes beyond what the process had.

    `counted_steps` is 0 where the step's time was put together from a micro-step or could not be measured. Where
    `fits_memory` is false the times are estimates or None, and `reason` says why.
    """

    step_s: float | None
    counted_steps: int
    eval_s: float
    save_s: float
    """How long training stands still for a checkpoint."""
    write_s: float
    """How long its files take, beside the training; the last one is waited for."""
    startup_s: float
    """Loading the base and the examples."""
    product_flops: float
    """Operations per second of one large product here: what a utilisation is a share of."""
    peak_memory_gib: float | None
    limit_gib: float
    fits_memory: bool
    reason: str


def calibrate(config: Config, profile: Profile, examples_dir: Path, base: Path, *, seconds: float) -> Calibration:
    """Run the beginning of a run for about `seconds`, keep nothing of it, and say what its pieces cost.

    One process stands for all workers: it does rank 0's part of every step.
    """
    threads = process.threads_of(config.train.threads, config.train.workers)
    with process.steady(threads), tempfile.TemporaryDirectory(prefix="pe_ray-estimate-") as scratch:
        plan = setup.Plan(config, examples_dir, base, Path(scratch), profile, threads, {})
        return _calibrate(plan, seconds)


def tokens_per_step(config: Config, profile: Profile, examples: Examples) -> float:
    """Mean tokens of a packed step over all workers; rows are never quite full."""
    shape = setup.shape_of(profile)
    steps = pack(stream_pieces(examples, shape.context, config.train.seed, True), shape)
    return fmean(sum(len(p) for row in next(steps) for p in row) for _ in range(COUNTED_PACKS))


def _calibrate(plan: setup.Plan, seconds: float) -> Calibration:
    config, device, began = plan.config, setup.device_of(), time.perf_counter()
    with Memory(device) as memory:
        model, tokenizer = setup.build_model(config, plan.profile, plan.base, device)
        data = setup.build_data(plan, tokenizer.pad_token_id, _Rank0(max(1, config.train.workers)))
        startup_s = time.perf_counter() - began
        if plan.profile.recompute:
            recompute(model)
        limit = limit_gib(config, device)
        examples = read_examples(plan.examples_dir, "train", config.model.experts)
        trial = Trial(model.train(), config, plan.profile, examples, tokenizer.pad_token_id, time.perf_counter, memory)
        found = trial.run(limit)
    micro_s = found.predicted_finish_s / data.steps if found.predicted_finish_s else None
    product = _product_flops(device)
    if micro_s is None or not found.fits:
        return Calibration(
            micro_s, 0, 0.0, 0.0, 0.0, startup_s, product, found.peak_memory_gib, limit, False, found.reason
        )
    save_s, write_s = _save(setup.checkpoints_of(plan, model), model, trial.optimizer)
    if micro_s * (WARM_UP + FEWEST) <= PATIENCE * seconds:
        step_s, counted, eval_s = _steps(model, plan, data, seconds)
        reason = ""
    else:
        step_s, counted, eval_s = micro_s, 0, _evaluation(model, data, config)
        reason = found.reason or "put together from micro-steps; whole steps take too long to measure"
    return Calibration(
        step_s, counted, eval_s, save_s, write_s, startup_s, product, found.peak_memory_gib, limit, True, reason
    )


class _Rank0(Alone):
    """Rank 0 of several, when it comes to who gets which rows."""

    def __init__(self, size: int) -> None:
        self.size = size


class _Timed:
    """Batches that note when the loop came for the next step: what lies between is all that a step costs."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.asked_s = batches, list[float]()

    def start(self, step: int) -> Iterator[list[PackedBatch]]:
        for micro_batches in self.batches.start(step):
            yield micro_batches
            # resumed here when the loop asks for the step after this one, before that one is packed
            self.asked_s.append(time.perf_counter())


def _steps(model: nn.Module, plan: setup.Plan, data: setup.Data, seconds: float) -> tuple[float, int, float]:
    """Seconds of a step after the first ones, how many were counted, and the seconds of an evaluation: by the loop."""
    timed, settings = _Timed(data.train), setup.settings_of(plan.config, WARM_UP + MOST)
    until_s = time.perf_counter() + seconds
    result = fit(
        model,
        timed,
        Experts(plan.config.model),
        profile=replace(plan.profile, recompute=False),  # it is switched on already
        window=Window(1e9),
        settings=replace(settings, eval_every_steps=2 * settings.steps),
        evaluation=data.evaluation,
        stop_asked=lambda: len(timed.asked_s) >= WARM_UP + FEWEST and time.perf_counter() > until_s,
    )
    counted = timed.asked_s[WARM_UP - 1 :]
    return (counted[-1] - counted[0]) / (len(counted) - 1), len(counted) - 1, result.state.eval_s


@torch.no_grad()
def _evaluation(model: nn.Module, data: setup.Data, config: Config) -> float:
    """Seconds of the held-out batches, by one of them where there are many."""
    if not data.evaluation:
        return 0.0
    model.eval()
    batch = data.evaluation[0].to(next(model.parameters()).device)
    began = time.perf_counter()
    terms = Experts(config.model).terms(model, batch)
    next(iter(terms.values())).item()  # waits for a GPU
    return (time.perf_counter() - began) * len(data.evaluation)


def _save(checkpoints: Checkpoints, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """Seconds that a checkpoint holds the training up, and that its writing takes."""
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    began = time.perf_counter()
    checkpoints.save(1, parameters, optimizer, {}, None)
    save_s = time.perf_counter() - began
    checkpoints.wait()
    return save_s, time.perf_counter() - began - save_s


def _product_flops(device: torch.device, tries: int = 5) -> float:
    """The best rate of one large product in the type that the base is trained in."""
    n, kind = PRODUCT[device.type], torch.bfloat16 if device.type == "cuda" else torch.float32
    a = torch.randn(n, n, device=device, dtype=kind)
    return 2 * n**3 / min(_seconds_of(lambda: a @ a, device) for _ in range(tries))


def _seconds_of(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
