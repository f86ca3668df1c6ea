"""Tokens per second of a training step on a GPU: the shape of an 8B base with random weights, in bfloat16.

Only torch, transformers and the standard library: it runs on a bare machine. Model-FLOP utilisation counts what the
mathematics needs (pe_ray/model/flops.py) against an attainable rate of 790 TFLOP/s, which is below the data sheet's.
On a CPU the same code runs a small shape (`--rehearse`), which shows that it works and measures nothing.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from pe_ray.bench import contenders as c
from pe_ray.bench.document import Result, measured, not_measured
from pe_ray.model.flops import flops_per_token

ATTAINABLE = 790e12
"""Matrix products in bfloat16 per second on an H200, as measured elsewhere; a data sheet promises more."""
MUST_TOKENS_PER_S = 8_500.0
"""Of the profile quality in the shape of 8B; the aim is 10,700, half of what is attainable."""
MOST_GIB = {"quality": 60.0, "memory_efficient": 30.0}
WARM = 2


@dataclass(frozen=True)
class Case:
    """A contender, and its micro-batch as rows and as a share of the shape's context."""

    name: str
    make: Callable[[c.PreTrainedModel], c.Contender]
    rows: int = 1
    context_share: float = 1.0
    recompute: bool = False
    pack: str = "none"
    """How the frozen weights are kept: none, 4bit or fp8."""


@dataclass(frozen=True)
class Speed:
    """Of one contender."""

    tokens_per_s: float
    peak_memory_gib: float


def cases() -> Iterator[Case]:
    """The four profiles, of as many tokens in a micro-batch as fill the context once; then forms, bases and peers."""

    def four(form: str) -> Callable[[c.PreTrainedModel], c.Contender]:
        return lambda base: c.ours(form, base, c.FOUR, form)

    yield Case("quality", four("lean"))
    yield Case("plain_lora", lambda base: c.ours("single", base, c.ONE, "single"))
    yield Case("fast", four("lean"), rows=8, context_share=1 / 8)
    yield Case("balanced", four("lean"), rows=4, context_share=1 / 4)
    pack = "4bit" if importlib.util.find_spec("bitsandbytes") and torch.cuda.is_available() else "none"
    yield Case("memory_efficient", four("lean"), rows=1, context_share=1 / 4, recompute=True, pack=pack)
    yield Case("quality_recomputed", four("lean"), recompute=True)
    yield Case("fp8_base", four("lean"), pack="fp8")
    yield Case("masked", four("masked"))
    yield Case("grouped", four("grouped"))
    yield Case("per_expert_down", c.per_expert_down)


def measure(shape_name: str, rounds: int, *, rehearse: bool = False) -> list[Result]:
    """Every case in turn; where there is no GPU, `rehearse` runs them on the CPU all the same."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not rehearse:
        return [
            not_measured(
                f"tokens_per_s.{case.name}", "tokens/s", "higher", _bound(case.name, shape_name), "no GPU here"
            )
            for case in cases()
        ]
    shape, found, speeds = c.SHAPES[shape_name], [], {}
    for case in cases():
        bound = None if device == "cpu" else _bound(case.name, shape_name)
        try:
            speeds[case.name] = speed = _speed(shape, case, rounds, device)
        except (torch.OutOfMemoryError, RuntimeError, ImportError) as error:
            why = "out of memory" if isinstance(error, torch.OutOfMemoryError) else str(error).splitlines()[0][:160]
            found.append(not_measured(f"tokens_per_s.{case.name}", "tokens/s", "higher", bound, why))
            continue
        found.append(measured(f"tokens_per_s.{case.name}", speed.tokens_per_s, "tokens/s", "higher", bound))
        if device == "cuda":
            most = MOST_GIB.get(case.name) if shape_name == "llama-8b" else None
            found.append(measured(f"peak_memory_gib.{case.name}", speed.peak_memory_gib, "GiB", "lower", most))
    return found + _ratios(shape, speeds, device)


def _bound(case: str, shape_name: str) -> float | None:
    return MUST_TOKENS_PER_S if case == "quality" and shape_name == "llama-8b" else None


def _ratios(shape: c.Shape, speeds: dict[str, Speed], device: str) -> list[Result]:
    found, ours = [], speeds.get("quality")
    if ours and "plain_lora" in speeds:
        ratio = speeds["plain_lora"].tokens_per_s / ours.tokens_per_s
        found.append(measured("vs_plain_lora", ratio, "time ratio", "lower", 1.10 if device == "cuda" else None))
    if ours and "per_expert_down" in speeds:
        ratio = ours.tokens_per_s / speeds["per_expert_down"].tokens_per_s
        found.append(measured("vs_per_expert_down", ratio, "rate ratio", "higher"))
    if ours and device == "cuda":
        need = flops_per_token(shape.base(), c.FOUR, shape.context).model
        found.append(measured("mfu", ours.tokens_per_s * need / ATTAINABLE, "share", "higher"))
    return found


def _speed(shape: c.Shape, case: Case, rounds: int, device: str) -> Speed:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    shape = replace(shape, rows=case.rows, context=max(16, int(shape.context * case.context_share)))
    contender = case.make(_packed(c.dense(shape, device, torch.bfloat16), case.pack))
    if case.recompute:
        contender.model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = c.tokens(shape, device)
    for _ in range(WARM):
        contender.step(ids)
    times = []
    for _ in range(rounds):
        _wait(device)
        began = time.monotonic()
        contender.step(ids)
        _wait(device)
        times.append(time.monotonic() - began)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    speed = Speed(ids.numel() / min(times), peak)
    print(
        f"{case.name}: {speed.tokens_per_s:.0f} tokens/s, {speed.peak_memory_gib:.1f} GiB", file=sys.stderr, flush=True
    )
    return speed


def _packed(base: c.PreTrainedModel, pack: str) -> c.PreTrainedModel:
    if pack == "fp8":
        from pe_ray.model.fp8 import to_fp8

        return to_fp8(base)
    if pack == "4bit":
        return _four_bits(base)
    return base


def _four_bits(base: c.PreTrainedModel) -> c.PreTrainedModel:
    """The linear maps of the decoder in bitsandbytes' nf4, packed on the device."""
    import bitsandbytes as bnb

    for layer in base.get_decoder().layers:
        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, torch.nn.Linear):
                    linear = bnb.nn.Linear4bit(
                        child.in_features,
                        child.out_features,
                        bias=False,
                        compute_dtype=torch.bfloat16,
                        quant_type="nf4",
                    )
                    linear.weight = bnb.nn.Params4bit(child.weight.data.cpu(), requires_grad=False, quant_type="nf4")
                    setattr(parent, name, linear.to(base.device))
    return base


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
