"""Training: what experts cost beside plain LoRA, packing beside padding, checkpoints; and tokens per second on a GPU.

    pe-ray bench train --json
    python -m pe_ray.bench train --device cuda --shape llama-8b

The second needs nothing but torch and transformers. Costs are CPU seconds of a whole optimizer step (forward, backward,
AdamW, with the router's terms), one thread, contenders taking turns in one process; the fastest turn of each counts.
Dropout is on against plain LoRA, as in every profile, and off against the others, which cannot have it.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import sys
import time
from collections.abc import Callable

from pe_ray.bench.document import Better, Result, measured, not_measured, parts_of

PURPOSE = "Experts beside plain LoRA, packing beside padding, checkpoints; tokens per second on a GPU."
GATES: dict[str, float] = {
    "experts1.vs_peft": 1.00,
    "experts4.vs_peft": 1.25,
    "experts4.vs_per_expert_down": 0.87,
    "experts4.vs_target_parameters": 0.55,
}
PACKING_ROUNDS = 2
PARTS = ("experts", "wide", "packing", "checkpoint", "estimate")
FORETOLD_ROUNDS = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this area."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", default=None, help="tiny, small, wide, llama-8b; default small, on cuda llama-8b")
    parser.add_argument(
        "--rehearse", action="store_true", help="cuda: run the same code on a CPU where there is no GPU"
    )
    parser.add_argument("--rounds", type=int, default=12, help="turns of each contender; the fastest counts")
    parser.add_argument("--only", type=parts_of(PARTS), default=PARTS, help=f"some of {','.join(PARTS)}")


def run(args: argparse.Namespace) -> list[Result]:
    """All figures of training on this device."""
    if args.device == "cuda":
        from pe_ray.bench.train_gpu import measure

        return measure(args.shape or "llama-8b", args.rounds, rehearse=args.rehearse)
    parts: dict[str, Callable[[], list[Result]]] = {
        "experts": lambda: _experts(args.shape or "small", args.rounds),
        "wide": lambda: _wide(args),
        "packing": _packing,
        "checkpoint": _checkpoint,
        "estimate": _estimate,
    }
    return [result for part in args.only for result in parts[part]()]


def _experts(shape: str, rounds: int, prefix: str = "", gated: bool = True) -> list[Result]:
    cost = _costs(shape, rounds)
    peers = {
        "experts1.vs_peft": ("one", "peft"),
        "experts4.vs_peft": ("four", "peft"),
        "experts4.vs_per_expert_down": ("four without dropout", "down"),
        "experts4.vs_target_parameters": ("four without dropout", "stacked"),
    }
    found = []
    for name, (us, peer) in peers.items():
        bound = GATES[name] if gated else None
        if peer not in cost:
            found.append(not_measured(prefix + name, "cost ratio", "lower", bound, "peft is not installed"))
        else:
            found.append(measured(prefix + name, cost[us] / cost[peer], "cost ratio", "lower", bound))
    return found


def _wide(args: argparse.Namespace) -> list[Result]:
    """The same on wider matrices, for the reader."""
    return [] if args.shape else _experts("wide", max(4, args.rounds // 3), "wide.", gated=False)


def _costs(name: str, rounds: int) -> dict[str, float]:
    import torch

    from pe_ray.bench import contenders as c

    shape = c.SHAPES[name]
    makers: dict[str, Callable[[], c.Contender]] = {
        "one": lambda: c.ours("one expert", c.dense(shape), c.dropped(c.ONE)),
        "four": lambda: c.ours("four experts", c.dense(shape), c.dropped(c.FOUR)),
        "four without dropout": lambda: c.ours("four experts", c.dense(shape), c.FOUR),
        "down": lambda: c.per_expert_down(c.dense(shape)),
    }
    if importlib.util.find_spec("peft"):
        makers["peft"] = lambda: c.peft_lora(c.dense(shape), c.DROPOUT)
        makers["stacked"] = lambda: c.peft_target_parameters(shape)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        contenders = {key: make() for key, make in makers.items()}
        ids = c.tokens(shape)
        return best_of(rounds, {key: lambda x=x: x.step(ids) for key, x in contenders.items()})
    finally:
        torch.set_num_threads(threads)


def best_of(rounds: int, work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU seconds of the fastest turn of each; a first turn warms up and does not count."""
    best = dict.fromkeys(work, float("inf"))
    for turn in range(rounds + 1):
        for name, task in work.items():
            gc.collect()
            began = time.process_time()
            task()
            spent = time.process_time() - began
            if turn:
                best[name] = min(best[name], spent)
        print(f"round {turn} of {rounds}: " + ", ".join(f"{n} {s:.3f}" for n, s in best.items()), file=sys.stderr)
    return best


def _packing() -> list[Result]:
    from pe_ray.bench.packed import rates

    packed, padded = rates(PACKING_ROUNDS)
    unit: Better = "higher"
    return [
        measured("packing.vs_padding", packed / padded, "rate ratio", unit, 1.3),
        measured("packing.tokens_per_cpu_s", packed, "tokens/CPU s", unit),
        measured("padding.tokens_per_cpu_s", padded, "tokens/CPU s", unit),
    ]


def _checkpoint() -> list[Result]:
    from pe_ray.bench.stall import stall_s

    stall, size = stall_s()
    return [
        measured("checkpoint.stall_share", stall / 1800.0, "share of 30 minutes", "lower", 0.01),
        measured("checkpoint.stall_s", stall, "s", "lower"),
        measured("checkpoint.state_gib", size / 2**30, "GiB", "lower"),
    ]


def _estimate() -> list[Result]:
    from pe_ray.bench import foretold

    return foretold.run(FORETOLD_ROUNDS)
