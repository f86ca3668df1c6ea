"""Dropout drops the share that was asked for, keeps the mean, and follows torch's seed."""

from __future__ import annotations

import pytest
import torch

from pe_ray.model.dropout import dropout, factor_like


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_share_and_the_mean_are_right(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    factor = factor_like(torch.empty(1000, 1001, dtype=dtype), p)
    assert factor.dtype == dtype and factor.shape == (1000, 1001)
    dropped = (factor == 0).double().mean().item()
    assert dropped == pytest.approx(p, abs=5 * (p * (1 - p) / factor.numel()) ** 0.5)
    kept = factor[factor != 0].double()
    assert kept.min() == kept.max() == pytest.approx(1 / (1 - p), rel=1e-4 if dtype != torch.bfloat16 else 1e-2)


def test_draws_do_not_depend_on_each_other_nor_on_their_place() -> None:
    torch.manual_seed(2)
    kept = (factor_like(torch.empty(4096, 64), 0.5) != 0).double()
    together = (kept.T @ kept) / len(kept)
    off = together[~torch.eye(64, dtype=torch.bool)]
    assert (off - 0.25).abs().max() < 6 * (0.25 * 0.75 / 4096) ** 0.5
    assert (kept.mean(dim=0) - 0.5).abs().max() < 6 * (0.25 / 4096) ** 0.5


def test_the_same_seed_drops_the_same() -> None:
    x = torch.randn(7, 9)
    torch.manual_seed(3)
    first = dropout(x, 0.3, training=True)
    assert not torch.equal(first, dropout(x, 0.3, training=True))
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x, 0.3, training=True))


def test_nothing_is_dropped_outside_of_training_or_without_a_share() -> None:
    x = torch.randn(3, 5)
    assert dropout(x, 0.3, training=False) is x and dropout(x, 0.0, training=True) is x
    assert torch.isfinite(dropout(x, 1 - 1e-9, training=True)).all()


def test_the_gradient_is_the_factor() -> None:
    x = torch.randn(5, 6, requires_grad=True)
    out = dropout(x, 0.4, training=True)
    out.sum().backward()
    assert torch.allclose(x.grad * x, out)
