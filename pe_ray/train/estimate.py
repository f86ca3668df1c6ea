"""How long a run will take, what it needs, and whether its window holds it: `pe-ray train estimate`.

    found = estimate(config, examples_dir, base, price_per_hour=2.5)
    print(text(found))

A run that its steps bound is told by its time; one that the window bounds, by its steps and tokens. Early stopping
cannot be foreseen: it makes a run shorter than the estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_ray.config import Config
from pe_ray.errors import UserError
from pe_ray.model.flops import flops_per_token, parameters
from pe_ray.train import setup
from pe_ray.train.data import read_examples
from pe_ray.train.pace import Pace, steps_of
from pe_ray.train.profiles import Profile, resolve

GIB = 2**30
SECONDS = 20.0
"""Time for the calibration steps, when nobody says otherwise."""
FORWARD_SHARE = 1 / 3
"""Of a training step's time, what an evaluation of as many tokens takes, where that cannot be measured."""
STATE_BYTES = 16
"""Of a trainable parameter: value, gradient and two moments in float32."""
FROZEN_BYTES = {"none": (4.0, 2.0), "8bit": (1.0, 1.0), "fp8": (2.0, 2.0), "4bit": (0.5, 0.5)}
"""Of a frozen parameter, on a CPU and on a GPU."""


@dataclass(frozen=True)
class Estimate:
    """What a run is predicted to be. Figures that nothing told are None."""

    profile: str
    how: str
    """Where the pace comes from, in words."""
    bound_by: str
    """steps or window."""
    steps: int
    steps_wanted: int
    tokens: int
    tokens_per_s: float
    step_s: float
    eval_s: float
    save_s: float
    startup_s: float
    elapsed_s: float
    """Of the window, evaluations and checkpoints included."""
    total_s: float
    """With start-up."""
    window_s: float
    margin_s: float
    fits_window: bool
    """Whether all steps that were asked for fit."""
    flops_per_token: float
    mfu: float | None
    """Model operations over those of one large product on the same device, or over the given peak."""
    state_memory_gib: float
    """Weights, gradients and moments of one worker, counted; without activations."""
    peak_memory_gib: float | None
    """Of one worker, measured."""
    limit_gib: float | None
    fits_memory: bool | None
    price_per_hour: float | None
    cost: float | None


def estimate(
    config: Config,
    examples_dir: Path,
    base: str | Path,
    *,
    profile_name: str | None = None,
    measure: bool = True,
    seconds: float = SECONDS,
    tflops: float | None = None,
    peak_tflops: float | None = None,
    price_per_hour: float | None = None,
) -> Estimate:
    """Predict a run from about `seconds` of it, or, without `measure`, from a rate of `tflops` per worker.

    `peak_tflops` is what the utilisation is a share of (else a product that is timed here); `price_per_hour` is of
    everything the run uses. Raises UserError for a rate or price that is none, or where a step cannot be measured.
    """
    _check(measure, seconds, tflops, peak_tflops, price_per_hour)
    from transformers import AutoConfig

    from pe_ray.train.calibrate import calibrate, tokens_per_step

    base, profile = Path(base).absolute(), resolve(profile_name or config.train.profile, config)
    examples = read_examples(examples_dir, "train", config.model.experts)
    tokens = tokens_per_step(config, profile, examples)
    shape = AutoConfig.from_pretrained(base, local_files_only=True)
    flops = flops_per_token(shape, config.model, profile.context, recompute=profile.recompute)
    facts: dict[str, Any] = {"peak_memory_gib": None, "limit_gib": None, "fits_memory": None}
    peak = peak_tflops * 1e12 if peak_tflops else None
    if measure:
        found = calibrate(config, profile, examples_dir, base, seconds=seconds)
        if found.step_s is None:
            raise UserError(f"train.profile={profile.name}: cannot be measured here: {found.reason}")
        pace = Pace(found.step_s, found.eval_s, found.save_s, found.write_s, found.startup_s)
        how = f"{found.counted_steps} whole steps measured here" if found.counted_steps else found.reason
        facts = {n: getattr(found, n) for n in facts}
        peak = peak or found.product_flops
    else:
        assert tflops is not None
        workers = max(1, config.train.workers)
        step_s = tokens * flops.hardware / (tflops * 1e12 * workers)
        pace = Pace(step_s, _eval_s(config, profile, examples_dir, tokens, step_s))
        how = f"not measured: {tflops:g} TFLOP/s a worker as given; no start-up, no checkpoints"
    return _predict(
        config,
        profile,
        pace,
        setup.num_steps(config, examples, profile),
        tokens,
        facts
        | {
            "how": how,
            "flops_per_token": flops.model,
            "peak": peak,
            "state_memory_gib": _state_gib(shape, config, profile),
            "price_per_hour": price_per_hour,
        },
    )


def _predict(
    config: Config, profile: Profile, pace: Pace, wanted: int, tokens: float, facts: dict[str, Any]
) -> Estimate:
    steps, bound_by = steps_of(config, pace, wanted)
    elapsed_s = pace.elapsed_s(steps, config) + pace.write_s
    total_s = pace.startup_s + elapsed_s
    rate, peak, price = tokens / pace.step_s, facts.pop("peak"), facts["price_per_hour"]
    used = rate * facts["flops_per_token"] / max(1, config.train.workers)
    return Estimate(
        profile=profile.name,
        bound_by=bound_by,
        steps=steps,
        steps_wanted=wanted,
        tokens=round(steps * tokens),
        tokens_per_s=round(rate, 2),
        step_s=round(pace.step_s, 4),
        eval_s=round(pace.eval_s, 4),
        save_s=round(pace.save_s, 4),
        startup_s=round(pace.startup_s, 3),
        elapsed_s=round(elapsed_s, 2),
        total_s=round(total_s, 2),
        window_s=config.train.window_s,
        margin_s=config.train.margin_s,
        fits_window=bound_by == "steps",
        mfu=round(used / peak, 4) if peak else None,
        cost=round(price * total_s / 3600, 4) if price is not None else None,
        **facts,
    )


def _check(
    measure: bool, seconds: float, tflops: float | None, peak_tflops: float | None, price_per_hour: float | None
) -> None:
    problems = []
    if not measure and tflops is None:
        problems.append("--no-measure: needs --tflops, the rate that a worker is expected to reach")
    for name, value in (("--seconds", seconds), ("--tflops", tflops), ("--peak-tflops", peak_tflops)):
        if value is not None and not (math.isfinite(value) and value > 0):
            problems.append(f"{name} {value:g}: is not above 0")
    if price_per_hour is not None and not (math.isfinite(price_per_hour) and price_per_hour >= 0):
        problems.append(f"--price-per-hour {price_per_hour:g}: is not a price")
    if problems:
        raise UserError(*problems)


def _eval_s(config: Config, profile: Profile, examples_dir: Path, tokens: float, step_s: float) -> float:
    """An evaluation reads the held-out tokens, up to those of `EVAL_STEPS` steps, forward only."""
    held_out = read_examples(examples_dir, "validation", config.model.experts).num_tokens
    return min(held_out, setup.EVAL_STEPS * profile.tokens) / tokens * step_s * FORWARD_SHARE


def _state_gib(shape: Any, config: Config, profile: Profile) -> float:
    count, gpu = parameters(shape, config.model), setup.device_of().type == "cuda"
    quantise = profile.quantise if gpu else config.base.quantise
    return round((count.frozen * FROZEN_BYTES[quantise][gpu] + count.trainable * STATE_BYTES) / GIB, 3)


def text(found: Estimate) -> str:
    """The estimate in a few lines for a person."""
    lines = [
        f"profile {found.profile}: {found.how}",
        f"  {found.step_s:.3g} s a step, {found.tokens_per_s:,.0f} tokens/s, evaluation {found.eval_s:.3g} s",
        _ends(found),
        f"  elapsed {_time(found.elapsed_s)} of the window, {_time(found.total_s)} with start-up",
        f"  memory: {found.state_memory_gib:.2f} GiB of weights, gradients and moments" + _peak(found),
    ]
    if found.mfu is not None:
        lines.append(f"  {found.flops_per_token / 1e9:.3g} GFLOP a token, utilisation {found.mfu:.1%}")
    if found.cost is not None:
        lines.append(f"  cost {found.cost:,.2f} at {found.price_per_hour:,.2f} an hour")
    return "\n".join(lines)


def _ends(found: Estimate) -> str:
    done = f"  {found.steps:,} steps, {found.tokens:,} tokens"
    if found.fits_window:
        return f"{done}: fits the window of {_time(found.window_s)}, unless it stops early"
    return f"{done}: the window of {_time(found.window_s)} ends it; {found.steps_wanted:,} steps were asked for"


def _peak(found: Estimate) -> str:
    if found.peak_memory_gib is None or found.limit_gib is None:
        return "; the peak was not measured"
    verdict = "" if found.fits_memory else ": does not fit"
    return f"; peak {found.peak_memory_gib:.2f} of {found.limit_gib:.2f} GiB{verdict}"


def _time(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
