"""Gradients of the fast forms against the loop: 1e-5 in float32, to the last digits in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pe_ray.model import mix
from pe_ray.model.forms import FORMS, Middle, Pairs, sets
from pe_ray.model.mix import sort_by_set
from pe_ray.model.router import Routing

NUM_TOKENS, WIDTH, INNER, RANK = 40, 12, 20, 4
CHOICES = [(4, 1), (4, 2), (4, 4), (8, 1), (8, 2), (8, 4)]
FAST = ["masked", "lean", "sets", "grouped"]
LEAVES = ("gate", "up", "x", "weight", "gate_A", "gate_B", "up_A", "up_B", "down_A", "down_B")


def case(num_experts: int, top_k: int, dropout: float, dtype: torch.dtype) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Leaves, the experts of each token, and the dropout factor (None without)."""
    g = torch.Generator().manual_seed(num_experts * 10 + top_k)
    rows = num_experts * RANK
    wide = {
        "gate": (NUM_TOKENS, INNER),
        "up": (NUM_TOKENS, INNER),
        "x": (NUM_TOKENS, WIDTH),
        "weight": (NUM_TOKENS, top_k),
        "gate_A": (rows, WIDTH),
        "gate_B": (rows, INNER),
    }
    wide |= {"up_A": (rows, WIDTH), "up_B": (rows, INNER), "down_A": (rows, INNER), "down_B": (rows, WIDTH)}
    leaves = {name: torch.randn(shape, generator=g, dtype=torch.float64) for name, shape in wide.items()}
    leaves["weight"] = leaves["weight"].softmax(dim=-1)
    expert_NK = torch.rand(NUM_TOKENS, num_experts, generator=g).topk(top_k, dim=-1).indices
    keep_NI = (torch.rand(NUM_TOKENS, INNER, generator=g) > dropout).to(dtype) / (1 - dropout) if dropout else None
    return {n: t.to(dtype).requires_grad_() for n, t in leaves.items()}, expert_NK, keep_NI


def gradients(form: str, num_experts: int, top_k: int, dropout: float, dtype: torch.dtype) -> dict[str, Tensor]:
    """Both results of a form, and the gradients of all that reaches it, under a fixed random loss."""
    leaf, expert_NK, keep_NI = case(num_experts, top_k, dropout, dtype)
    routing = Routing(leaf["weight"], leaf["weight"], expert_NK)
    pairs = Pairs(*(leaf[name] for name in LEAVES[4:]), 1.5, num_experts, RANK)
    middle = Middle(leaf["gate"], leaf["up"], leaf["x"], keep_NI, routing, torch.nn.functional.silu)
    mixed_NI, delta_NH = in_order(middle, pairs) if form == "sets" else FORMS[form](middle, pairs)
    g = torch.Generator().manual_seed(99)
    (mixed_NI * torch.randn(NUM_TOKENS, INNER, generator=g, dtype=dtype)).sum().backward(retain_graph=True)
    (delta_NH * torch.randn(NUM_TOKENS, WIDTH, generator=g, dtype=dtype)).sum().backward()
    return {n: t.grad for n, t in leaf.items()} | {"mixed": mixed_NI.detach(), "delta": delta_NH.detach()}


def in_order(m: Middle, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """`sets` on tokens that are sorted for it, and its results in the order of the tokens."""
    order = sort_by_set(m.routing, pairs.num_experts)
    keep_NI = None if m.keep_NI is None else m.keep_NI[order.order_N]
    at = order.order_N
    found = sets(Middle(m.gate_NI[at], m.up_NI[at], m.x_NH[at], keep_NI, order.routing, m.act), pairs, order)
    return found[0][order.back_N], found[1][order.back_N]


def worst(form: str, *how) -> tuple[float, str]:
    """The largest difference to the loop, relative to the largest value of the tensor; and whose it is."""
    want, got = gradients("loop", *how), gradients(form, *how)
    return max(((got[n] - want[n]).abs().max().item() / want[n].abs().max().item(), n) for n in want)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(("num_experts", "top_k"), CHOICES)
@pytest.mark.parametrize("form", FAST)
def test_float32_gradients_are_those_of_the_loop(form: str, num_experts: int, top_k: int, dropout: float) -> None:
    difference, name = worst(form, num_experts, top_k, dropout, torch.float32)
    assert difference <= 1e-5, name


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(("num_experts", "top_k"), CHOICES)
@pytest.mark.parametrize("form", ["masked", "lean", "sets"])  # torch has no grouped product in float64
def test_float64_gradients_are_those_of_the_loop(form: str, num_experts: int, top_k: int, dropout: float) -> None:
    difference, name = worst(form, num_experts, top_k, dropout, torch.float64)
    assert difference <= 1e-12, name


@pytest.mark.parametrize("form", ["lean", "sets"])
def test_a_wrong_backward_pass_is_found(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = mix._silu_backward
    monkeypatch.setattr(mix, "_silu_backward", lambda total, d_a, g, slot: right(total, d_a, g * 1.001, slot))
    assert worst(form, 4, 2, 0.0, torch.float32)[0] > 1e-5


@pytest.mark.parametrize("form", ["lean", "sets"])
def test_a_dropout_factor_left_out_of_the_backward_pass_is_found(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = mix.Mix.forward

    def forgetful(ctx, *values):
        *head, keep_NI, parts, lean = values
        found = right(ctx, *head, keep_NI, parts, lean)
        if keep_NI is not None:
            keep_NI.fill_(1.0)  # kept by reference for the backward pass
        return found

    monkeypatch.setattr(mix.Mix, "forward", staticmethod(forgetful))
    with pytest.raises((AssertionError, RuntimeError)):  # torch notices a tensor that changed under it
        assert worst(form, 4, 2, 0.3, torch.float32)[0] <= 1e-5
