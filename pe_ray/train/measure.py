"""How fast a profile is here, and whether it fits: a few micro-steps of the real model on the real examples."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch
from torch import nn

from pe_ray.config import Config
from pe_ray.train import process, setup
from pe_ray.train.data import Examples, read_examples
from pe_ray.train.loop import optimizer_of, recompute
from pe_ray.train.objective import Experts, total
from pe_ray.train.packing import Shape, TrainBatches
from pe_ray.train.profiles import Profile

GIB = 2**30
COUNTED = 3
SHARE = 0.9
"""Of the memory, what a searched micro-batch may take: it is judged by the growth of smaller ones."""
SMALL = 8
"""The first micro-steps have one row of an eighth and a quarter of the context: their growth tells of a whole one."""


@dataclass(frozen=True)
class Measurement:
    """What a profile costs: `peak_memory_gib` beyond what the process had before the base was loaded.

    `predicted_finish_s` is the time of all the run's steps. Where `fits` is false the figures are estimates, or None
    where none could be made, and `reason` says why.
    """

    profile: str
    tokens_per_s: float | None
    peak_memory_gib: float | None
    predicted_finish_s: float | None
    fits: bool
    reason: str
    micro_batch: int | None = None
    """What was measured: the profile's own, or the largest that fits where that does not."""
    accumulation: int | None = None
    largest_micro_batch: int | None = None
    """That is expected to fit, of as many sequences in a step."""


def measure(
    config: Config,
    profile: Profile,
    examples_dir: Path,
    base: str | Path,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Measurement:
    """One warm-up and three counted micro-steps, at most `tune.seconds_per_profile` seconds of them.

    Run it in a process of its own: memory that an earlier model left behind hides what this one takes.
    """
    device = setup.device_of()
    with process.steady(process.threads_of(config.train.threads, config.train.workers)), Memory(device) as memory:
        model, tokenizer = setup.build_model(config, profile, Path(base), device)
        if profile.recompute:
            recompute(model)
        examples = read_examples(examples_dir, "train", config.model.experts)
        trial = Trial(model.train(), config, profile, examples, tokenizer.pad_token_id, clock, memory)
        return trial.run(limit_gib(config, device))


def limit_gib(config: Config, device: torch.device) -> float:
    """Memory that one worker may take: `tune.memory_gib`, else what is free; CPU workers share it."""
    if device.type == "cuda":
        return config.tune.memory_gib or torch.cuda.mem_get_info(device)[0] / GIB
    return (config.tune.memory_gib or psutil.virtual_memory().available / GIB) / max(1, config.train.workers)


class Trial:
    """The micro-steps of one profile on one model."""

    def __init__(
        self,
        model: nn.Module,
        config: Config,
        profile: Profile,
        examples: Examples,
        pad_id: int,
        clock: Callable[[], float],
        memory: Memory,
    ) -> None:
        self.model, self.config, self.profile, self.clock, self.memory = model, config, profile, clock, memory
        self.examples, self.pad_id = examples, pad_id
        self.objective = Experts(config.model)
        parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.device = next(iter(parameters.values())).device
        self.optimizer = optimizer_of(parameters, setup.settings_of(config, 1))
        self.largest: int | None = None

    def run(self, limit: float) -> Measurement:
        """Small micro-steps first; whole ones only if they can fit in memory and in time."""
        context, wanted = self.profile.context, self.profile.micro_batch
        small, double = (Shape(1, 1, min(context, max(64, n * context // SMALL))) for n in (1, 2))
        try:
            self._micro_step(small)
            update_s = self._update()
            self._micro_step(small)
            before = self.memory.peak_gib()  # base, gradients, moments, and what libraries take once
            small_s, tokens = self._micro_step(double)
            slope = (self.memory.peak_gib() - before) / max(1, double.tokens - small.tokens)

            def needs_of(micro_batch: int) -> float:
                return before + slope * (micro_batch * context - small.tokens)

            self._search(needs_of, limit)
            whole = Shape(self.profile.micro_batch, 1, context)
            needs, times = needs_of(whole.rows), whole.tokens / double.tokens
            if needs > limit:
                reason = f"needs about {needs:.1f} GiB of {limit:.1f}, judged by a micro-step of {double.tokens} tokens"
                return self._found(small_s * times, tokens * times, update_s, needs, reason, False)
            if 2 * small_s * times > self.config.tune.seconds_per_profile:
                reason = f"estimated from a micro-step of {double.tokens} tokens; a whole one takes too long to measure"
                return self._found(small_s * times, tokens * times, update_s, needs, reason, True)
            micro_s, tokens = self._counted(whole)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
                raise
            reason = f"out of memory; {limit:.1f} GiB were free"
            return Measurement(self.profile.name, None, None, None, False, reason)
        peak = self.memory.peak_gib()
        smaller = f"with micro-batch {whole.rows}: {wanted} does not fit" if whole.rows < wanted else ""
        reason = smaller if peak <= limit else f"takes {peak:.1f} GiB of {limit:.1f}"
        return self._found(micro_s, tokens, update_s, peak, reason, peak <= limit)

    def _search(self, needs_of: Callable[[int], float], limit: float) -> None:
        """The largest micro-batch that is expected to fit, of as many sequences in a step; the profile takes it where
        its own does not fit. One pass for each worker is the least."""
        rows, workers = self.profile.rows, max(1, self.config.train.workers)
        parts = [a for a in range(workers, rows + 1) if rows % a == 0]
        fitting = [rows // a for a in parts if needs_of(rows // a) <= SHARE * limit]
        self.largest = max(fitting, default=None)
        if self.largest is not None and needs_of(self.profile.micro_batch) > limit:
            self.profile = replace(self.profile, micro_batch=self.largest, accumulation=rows // self.largest)

    def _counted(self, shape: Shape) -> tuple[float, float]:
        """Mean seconds and tokens of the counted micro-steps; fewer than three where the time is up."""
        began = self.clock()
        self._micro_step(shape)
        found: list[tuple[float, int]] = []
        while len(found) < COUNTED:
            found.append(self._micro_step(shape))
            if self.clock() - began + found[-1][0] > self.config.tune.seconds_per_profile:
                break
        return sum(s for s, _ in found) / len(found), sum(n for _, n in found) / len(found)

    def _micro_step(self, shape: Shape) -> tuple[float, int]:
        """Forward and backward over one packed micro-batch; its seconds and its tokens."""
        batches = TrainBatches(self.examples, shape, self.config.train.seed, pad_id=self.pad_id)
        batch = next(batches.start(0))[0].to(self.device)
        began = self.clock()
        total(self.objective.terms(self.model, batch), self.objective.coefficients).backward()
        self._wait()
        return self.clock() - began, batch.num_tokens

    def _update(self) -> float:
        """Seconds of one optimizer update, the second one: the first makes the moments."""
        self.optimizer.step()
        began = self.clock()
        self.optimizer.step()
        self._wait()
        self.optimizer.zero_grad()
        return self.clock() - began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _found(
        self, micro_s: float, tokens: float, update_s: float, peak: float, reason: str, fits: bool
    ) -> Measurement:
        """The figures of whole steps, shared out over the workers."""
        profile, workers = self.profile, max(1, self.config.train.workers)
        step_s = profile.accumulation * micro_s / workers + update_s
        steps = setup.num_steps(self.config, self.examples, profile)
        return Measurement(
            profile.name,
            tokens_per_s=round(profile.accumulation * tokens / step_s, 2),
            peak_memory_gib=round(peak, 3),
            predicted_finish_s=round(steps * step_s, 2),
            fits=fits,
            reason=reason,
            micro_batch=profile.micro_batch,
            accumulation=profile.accumulation,
            largest_micro_batch=self.largest,
        )


class Memory:
    """The peak of what this process takes beyond what it had when the block began, sampled from a thread.

    On a GPU torch counts; on a CPU it is the unique set size.
    """

    def __init__(self, device: torch.device, every_s: float = 0.02) -> None:
        self.device, self.every_s = device, every_s
        self._process, self._stop = psutil.Process(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="pe_ray-memory")

    def __enter__(self) -> Memory:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._start = self._peak = self._now()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def peak_gib(self) -> float:
        """The largest so far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / GIB
        self._peak = max(self._peak, self._now())
        return (self._peak - self._start) / GIB

    def _watch(self) -> None:
        while not self._stop.wait(self.every_s):
            self._peak = max(self._peak, self._now())

    def _now(self) -> int:
        return 0 if self.device.type == "cuda" else self._process.memory_full_info().uss
