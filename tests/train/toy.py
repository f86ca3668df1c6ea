"""The smallest thing that `fit` can train: a Llama of one layer and width 16 over 64 made-up tokens."""

from __future__ import annotations

import copy
import threading

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pe_ray.train.data import Examples
from pe_ray.train.loop import fit
from pe_ray.train.objective import NextToken
from pe_ray.train.packing import Shape, TrainBatches, evaluation_batches
from pe_ray.train.profiles import Profile
from pe_ray.train.schedule import Schedule
from pe_ray.train.state import FitResult, Settings
from pe_ray.train.window import Window

torch.set_num_threads(1)


class Clock:
    """A clock that moves when it is told to, and `tick_s` at every look."""

    def __init__(self, tick_s: float = 0.0) -> None:
        self.now_s, self.tick_s = 100.0, tick_s

    def __call__(self) -> float:
        self.now_s += self.tick_s
        return self.now_s

    def jump(self, seconds: float) -> None:
        self.now_s += seconds


def _make() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64,
    )  # fmt: skip
    return LlamaForCausalLM(config)


FRESH = _make()
"""Made once: ranks in threads share the generator, and could not make it alike."""


def toy_model(dropout: float = 0.0) -> LlamaForCausalLM:
    model = copy.deepcopy(FRESH)
    model.model.layers[0].self_attn.attention_dropout = dropout
    return model


def toy_examples(count: int = 40, domains: int = 3, seed: int = 1) -> Examples:
    """Sequences that count upwards, of 5 to 20 tokens; the second half of each is learnt."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 21, count)
    tokens = [(rng.integers(0, 64) + np.arange(n)) % 64 for n in lengths]
    masks = [np.arange(n) >= n // 2 for n in lengths]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    domain = np.arange(count) % domains
    return Examples(np.concatenate(tokens).astype(np.int32), np.concatenate(masks).astype(np.int8), starts, domain)


SHAPE = Shape(micro_batch=2, accumulation=2, context=32)
PROFILE = Profile("toy", 2, 2, 32)


def toy_fit(model=None, *, window=None, settings=None, collective=None, batches=None, **more) -> FitResult:
    """`fit` on the toy with what a test wants to be different."""
    rank = {"rank": collective.rank, "size": collective.size} if collective else {}
    batches = batches or TrainBatches(toy_examples(), SHAPE, 7, pad_id=0, **rank)
    held_out = more.pop("evaluation", None)
    if held_out is None:
        held_out = evaluation_batches(toy_examples(8, seed=2), SHAPE, pad_id=0, max_tokens=10_000, **rank)
    return fit(
        model or toy_model(),
        batches,
        more.pop("objective", NextToken()),
        profile=PROFILE,
        window=window or Window(3600.0),
        settings=settings or toy_settings(),
        evaluation=held_out,
        collective=collective,
        **more,
    )


def toy_settings(**changes) -> Settings:
    defaults = {"steps": 10, "schedule": Schedule(1e-2, 0.1, 2), "eval_every_steps": 4}
    return Settings(**(defaults | changes))


class Threads:
    """Two ranks in two threads of this process, with real sums and a real barrier."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier, self.slots = size, threading.Barrier(size, timeout=60), [None] * size

    def rank(self, rank: int):
        parent = self

        class Rank:
            size = parent.size

            def all_reduce_(self, tensor):
                parts = parent.exchange(rank, tensor.clone())
                total = parts[0].clone()
                for part in parts[1:]:
                    total += part
                return tensor.copy_(total)

            def broadcast(self, values):
                return list(parent.exchange(rank, list(values))[0])

        found = Rank()
        found.rank = rank
        return found

    def exchange(self, rank: int, value):
        self.slots[rank] = value
        self.barrier.wait()
        everything = list(self.slots)
        self.barrier.wait()
        return everything

    def run(self, work) -> list:
        """`work(collective)` on every rank; their results."""
        results: list = [None] * self.size

        def target(rank: int) -> None:
            try:
                results[rank] = work(self.rank(rank))
            except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
                results[rank] = error
                self.barrier.abort()

        threads = [threading.Thread(target=target, args=(r,)) for r in range(self.size)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for r in results:
            if isinstance(r, BaseException):
                raise r
        return results
