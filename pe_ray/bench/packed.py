"""Training on packed rows beside micro-batches that are padded to their longest document: the same model, documents and
code, real tokens per CPU second."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from pe_ray.bench.train import best_of
from pe_ray.config import ModelConfig
from pe_ray.model.inject import inject
from pe_ray.train.data import Examples
from pe_ray.train.objective import Experts, total
from pe_ray.train.packing import PackedBatch, Shape, TrainBatches, collate, split

DOCUMENTS, ROWS, CONTEXT, PAD = 48, 4, 512, 0
MEDIAN, SPREAD = 110, 0.75
"""Of the documents' lengths in tokens, which are log-normal as those of dialogues are: most are short, a few long."""


def rates(rounds: int) -> tuple[float, float]:
    """Tokens per CPU second, packed and padded."""
    examples = _documents()
    packed = [
        batch
        for step in islice(TrainBatches(examples, _shape(), 7, pad_id=PAD).start(0), _steps(examples))
        for batch in step
    ]
    padded = _padded(examples)
    model, objective = _model(), Experts(ModelConfig())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work = {"packed": packed, "padded": padded}
        cost = best_of(rounds, {name: lambda b=batches: _train(model, objective, b) for name, batches in work.items()})
    finally:
        torch.set_num_threads(threads)
    return tuple(sum(b.num_tokens for b in work[name]) / cost[name] for name in ("packed", "padded"))  # type: ignore[return-value]


def _documents() -> Examples:
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(np.log(MEDIAN), SPREAD, DOCUMENTS), 16, CONTEXT).astype(np.int64)
    num = int(lengths.sum())
    return Examples(
        token_T=draw.integers(1, 512, num).astype(np.int32),
        mask_T=np.ones(num, np.int8),
        start_X=np.concatenate([[0], np.cumsum(lengths)]),
        domain_X=draw.integers(0, 4, DOCUMENTS),
    )


def _shape() -> Shape:
    return Shape(micro_batch=ROWS, accumulation=1, context=CONTEXT)


def _steps(examples: Examples) -> int:
    return max(1, examples.num_tokens // _shape().tokens)


def _padded(examples: Examples) -> list[PackedBatch]:
    """`ROWS` documents at a time, in random order, as rows as long as the longest of them."""
    order = np.random.default_rng(1).permutation(len(examples))
    batches = []
    for start in range(0, len(order), ROWS):
        rows = [split(examples, int(x), CONTEXT)[:1] for x in order[start : start + ROWS]]
        batches.append(collate(examples, rows, max(len(r[0]) for r in rows), PAD))
    return batches


def _model() -> torch.nn.Module:
    from pe_ray.bench.contenders import SHAPES, dense

    return inject(dense(SHAPES["small"]), ModelConfig(), seed=7).train()


def _train(model: torch.nn.Module, objective: Experts, batches: list[PackedBatch]) -> None:
    for batch in batches:
        model.zero_grad(set_to_none=True)
        total(objective.terms(model, batch), objective.coefficients).backward()
