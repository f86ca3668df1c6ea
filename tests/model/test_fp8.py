"""Products in 8-bit floating point: near the exact ones, forwards and backwards, and never exported as if exact."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pe_ray.errors import UserError
from pe_ray.model.base import load_base
from pe_ray.model.export import to_moe
from pe_ray.model.fp8 import Float8Linear
from pe_ray.model.inject import adapter_parameters, inject, trainable
from pe_ray.model.loss import next_token
from tests.model import bases


def _error(got: torch.Tensor, want: torch.Tensor) -> float:
    return ((got.float() - want.float()).norm() / want.float().norm()).item()


def test_value_and_gradient_are_near_those_of_the_linear_map() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 96)
    x, scales = torch.randn(40, 64), torch.logspace(-3, 3, 40)[:, None]  # rows of very different sizes
    ours, theirs = (x * scales).requires_grad_(), (x * scales).requires_grad_()
    y, want = Float8Linear(linear)(ours), linear(theirs)
    up = torch.randn(40, 96)
    (y * up).sum().backward()
    (want * up).sum().backward()
    for n in range(40):
        assert _error(y[n], want[n]) < 0.12 and _error(ours.grad[n], theirs.grad[n]) < 0.12
    assert _error(y, want) < 0.06


def test_a_base_in_fp8_trains_and_is_not_merged(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    model, tokenizer = load_base(path, quantise="fp8")
    assert any(isinstance(m, Float8Linear) for m in model.modules())
    exact, _ = load_base(path)
    ids = torch.arange(48).view(2, 24) % 200
    with torch.no_grad():
        assert next_token(model, ids).item() == pytest.approx(next_token(exact, ids).item(), rel=0.02)
    inject(model, bases.experts_config(), seed=1)
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=5e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = next_token(model, ids)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1 and all(p.isfinite().all() for p in adapter_parameters(model).values())
    with pytest.raises(UserError, match=r"base\.quantise=fp8: has no exact merged form"):
        to_moe(model, tokenizer, tmp_path / "merged")
