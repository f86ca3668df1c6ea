"""Tokens per second of a training step on a GPU: the shape of an 8B base with random weights, in bfloat16.

Only torch, transformers and the standard library: it runs on a bare machine. Model-FLOP utilisation counts what the
mathematics needs (pe_ray/model/flops.py) against an attainable rate of 790 TFLOP/s, which is below the data sheet's.
"""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass

import torch

from pe_ray.bench import contenders as c
from pe_ray.bench.document import Result, measured, not_measured
from pe_ray.model.flops import flops_per_token

ATTAINABLE = 790e12
"""Matrix products in bfloat16 per second on an H200, as measured elsewhere; a data sheet promises more."""
AIM_TOKENS_PER_S = 10_700.0
WARM = 2


@dataclass(frozen=True)
class Speed:
    """Of one contender."""

    tokens_per_s: float
    peak_memory_gib: float


def measure(shape_name: str, rounds: int) -> list[Result]:
    """Profiles, plain LoRA, and the forms of the experts."""
    if not torch.cuda.is_available():
        return [not_measured("tokens_per_s.quality", "tokens/s", "higher", AIM_TOKENS_PER_S, "no CUDA device")]
    shape = c.SHAPES[shape_name]
    found: list[Result] = []
    speeds: dict[str, Speed] = {}
    for name, experts, form, recompute in (
        ("quality", c.FOUR, "lean", False),
        ("memory_efficient", c.FOUR, "lean", True),
        ("masked", c.FOUR, "masked", False),
        ("grouped", c.FOUR, "grouped", False),
        ("plain_lora", c.ONE, "single", False),
        ("per_expert_down", None, "", False),
    ):
        try:
            speeds[name] = _speed(shape, experts, form, recompute, rounds)
        except torch.OutOfMemoryError:
            found.append(not_measured(f"tokens_per_s.{name}", "tokens/s", "higher", None, "out of memory"))
            continue
        bound = AIM_TOKENS_PER_S if name == "quality" and shape_name == "llama-8b" else None
        found.append(measured(f"tokens_per_s.{name}", speeds[name].tokens_per_s, "tokens/s", "higher", bound))
        found.append(measured(f"peak_memory_gib.{name}", speeds[name].peak_memory_gib, "GiB", "lower"))
    return found + _ratios(shape, speeds)


def _ratios(shape: c.Shape, speeds: dict[str, Speed]) -> list[Result]:
    found = []
    if "quality" in speeds and "plain_lora" in speeds:
        ratio = speeds["plain_lora"].tokens_per_s / speeds["quality"].tokens_per_s
        found.append(measured("vs_plain_lora", ratio, "time ratio", "lower", 1.10))
    if "quality" in speeds and "per_expert_down" in speeds:
        ratio = speeds["quality"].tokens_per_s / speeds["per_expert_down"].tokens_per_s
        found.append(measured("vs_per_expert_down", ratio, "rate ratio", "higher"))
    if "quality" in speeds:
        need = flops_per_token(shape.base(), c.FOUR, shape.context).model
        found.append(measured("mfu", speeds["quality"].tokens_per_s * need / ATTAINABLE, "share", "higher"))
    return found


def _speed(shape: c.Shape, experts: c.Experts | None, form: str, recompute: bool, rounds: int) -> Speed:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    base = c.dense(shape, "cuda", torch.bfloat16)
    contender = c.per_expert_down(base) if experts is None else c.ours(form, base, experts, form)
    if recompute:
        contender.model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = c.tokens(shape, "cuda")
    for _ in range(WARM):
        contender.step(ids)
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        began = time.monotonic()
        contender.step(ids)
        torch.cuda.synchronize()
        times.append(time.monotonic() - began)
    speed = Speed(ids.numel() / min(times), torch.cuda.max_memory_allocated() / 2**30)
    print(f"{form or 'per_expert_down'}: {speed.tokens_per_s:.0f} tokens/s", file=sys.stderr, flush=True)
    return speed
