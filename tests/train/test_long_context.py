"""One optimizer step at 8,192 tokens of context on a CPU: packed, in both forms, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pe_ray.model.inject import inject, set_form
from pe_ray.train.data import Examples
from pe_ray.train.loop import fit
from pe_ray.train.measure import Memory
from pe_ray.train.objective import Experts
from pe_ray.train.packing import Shape, TrainBatches
from pe_ray.train.profiles import Profile
from pe_ray.train.window import Window
from tests.model import bases
from tests.train.toy import toy_settings

CONTEXT = 8192
MOST_GIB = 0.6
"""Of one layer of width 32. Kept whole in float32, the scores of its two heads would take 0.5 GiB alone, forwards."""


def long_examples(longest: int) -> Examples:
    """Documents of up to `longest` tokens, enough for a row."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(longest // 4, longest + 1, 4 * CONTEXT // longest)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = rng.integers(0, 256, starts[-1]).astype(np.int32)
    return Examples(tokens, np.ones(len(tokens), np.int8), starts, np.arange(len(lengths)) % 4)


@pytest.mark.parametrize("form", ["sets", "lean"])
def test_a_step_at_full_context_fits(form: str) -> None:
    shape, config = Shape(1, 1, CONTEXT), bases.experts_config()
    model = bases.dense_model(
        hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
    )  # fmt: skip
    set_form(inject(model, config, seed=1), form)
    batches, lines = TrainBatches(long_examples(2048), shape, 7, pad_id=256), []
    with Memory(torch.device("cpu")) as memory:
        fit(model, batches, Experts(config), profile=Profile("long", 1, 1, CONTEXT), window=Window(600.0),
            settings=toy_settings(steps=1), on_step=lines.append)  # fmt: skip
    print(f"{form}: {lines[0]['tokens']} tokens, loss {lines[0]['loss']:.4f}, peak {memory.peak_gib():.2f} GiB")
    assert lines[0]["tokens"] > 0.9 * CONTEXT and lines[0]["loss"] > 0
    assert memory.peak_gib() < MOST_GIB
