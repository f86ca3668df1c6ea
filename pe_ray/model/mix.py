"""The middle of the experts' MLP as one autograd node that keeps little and computes the rest again.

Autograd would keep about five [N, I] tensors per slot. Here W_g x, W_u x and the rank-sized products stay; g, u and q
are made again from them in the backward pass (thin products and elementwise passes, no frozen product). The frozen
matrices are outside, so a quantised base works, and a frozen linear keeps nothing of its input.

The work is cut into parts, each one slot of some rows with some columns of the stacked low-rank products:

- `slot_parts`: all rows and all columns, those of experts that were not chosen times zero. Static shapes, no wait for
  the device.
- `set_parts`: rows sorted by the set of experts that they chose, so that a part is dense and touches one expert only.
  A part is cut to fit a core's cache, which is worth more than the saved arithmetic.

Legend: N tokens, I inner width, E experts, K slots, R rank, Z = E x R; n rows and c columns of a part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pe_ray.model.router import Routing

CACHED_ELEMENTS = 1 << 18
"""Elements of a part's [n, I] tensors: smaller parts fit a smaller cache, but each costs forty calls into torch."""


@dataclass(frozen=True)
class Part:
    """Slot `slot` of some rows; low-rank values at `columns` are multiplied by `factor` ([n, c], or a number)."""

    slot: int
    rows: slice
    columns: slice
    factor: Tensor | float


@dataclass(frozen=True)
class Order:
    """Tokens sorted by their set of experts: row i of the sorted ones is token `order_N[i]`; `back_N` undoes it."""

    order_N: Tensor
    back_N: Tensor
    routing: Routing
    """Of the sorted tokens, each token's experts ascending."""
    sets: list[tuple[int, int, tuple[int, ...]]]
    """First row, row after the last, the experts."""


class Mix(torch.autograd.Function):
    """mixed = sum_k p_k silu(g_k) * u_k and the down pairs' low-rank sum; see `forward` for the shapes."""

    @staticmethod
    def forward(
        ctx: Any,
        gate_NI: Tensor,
        up_NI: Tensor,
        gate_NZ: Tensor,
        up_NZ: Tensor,
        gate_B_ZI: Tensor,
        up_B_ZI: Tensor,
        down_A_ZI: Tensor,
        weight_NK: Tensor,
        keep_NI: Tensor | None,
        parts: list[Part],
        lean: bool,
    ) -> tuple[Tensor, Tensor]:
        """gate_NI = W_g x, up_NI = W_u x, gate_NZ = x A_g^T, up_NZ = x A_u^T; returns mixed_NI and down_NZ.

        `keep_NI` is the dropout factor of what enters the down pairs. Every row has one part per slot, slot 0 first.
        With `lean` nothing of [n, I] is kept for the backward pass but gate_NI and up_NI; else g, u and silu(g) are.
        """
        ctx.parts, ctx.lean = parts, lean
        mixed_NI, down_NZ = torch.empty_like(gate_NI), torch.zeros_like(gate_NZ)
        middles: list[Tensor] = []
        for p in parts:
            g, u = _gate_up(gate_NI, up_NI, gate_NZ, up_NZ, gate_B_ZI, up_B_ZI, p)
            a = F.silu(g, inplace=lean)
            if not lean:
                middles += (g, u, a)
            h, weight = (a.mul_(u) if lean else a * u), weight_NK[p.rows, p.slot, None]
            _weigh(mixed_NI[p.rows], h, weight, p.slot)
            kept = h if keep_NI is None else h.mul_(keep_NI[p.rows])
            down_NZ[p.rows, p.columns] += (kept @ down_A_ZI[p.columns].T).mul_(weight).mul_(p.factor)
        wide = (gate_NI, up_NI) if lean else (None, None)
        ctx.save_for_backward(*wide, gate_NZ, up_NZ, gate_B_ZI, up_B_ZI, down_A_ZI, weight_NK, keep_NI, *middles)
        return mixed_NI, down_NZ

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_mixed_NI: Tensor, d_down_NZ: Tensor) -> tuple[Tensor | None, ...]:
        """The forward formulas backwards; the sums over slots leave before any frozen product."""
        gate_NI, up_NI, gate_NZ, up_NZ, gate_B, up_B, down_A, weight_NK, keep_NI, *middles = ctx.saved_tensors
        d_gate_NI, d_up_NI = torch.empty_like(d_mixed_NI), torch.empty_like(d_mixed_NI)
        d_gate_NZ, d_up_NZ, d_weight_NK = (
            torch.zeros_like(gate_NZ),
            torch.zeros_like(up_NZ),
            torch.empty_like(weight_NK),
        )
        d_gate_B, d_up_B, d_down_A = map(torch.zeros_like, (gate_B, up_B, down_A))
        for i, p in enumerate(ctx.parts):
            rows, columns, at = p.rows, p.columns, (p.rows, p.columns)
            weight, d_low = weight_NK[rows, p.slot, None], d_down_NZ[at] * p.factor
            if ctx.lean:
                g, u = _gate_up(gate_NI, up_NI, gate_NZ, up_NZ, gate_B, up_B, p)
                a = F.silu(g)
            else:
                g, u, a = middles[3 * i : 3 * i + 3]
            h = a * u
            if keep_NI is None:
                d_h = torch.addmm(d_mixed_NI[rows], d_low, down_A[columns])
                d_down_A[columns].addmm_((d_low * weight).T, h)
                d_weight_NK[rows, p.slot] = h.mul_(d_h).sum(dim=1)
            else:
                d_h = (d_low @ down_A[columns]).mul_(keep_NI[rows]).add_(d_mixed_NI[rows])
                d_weight_NK[rows, p.slot] = (h * d_h).sum(dim=1)
                d_down_A[columns].addmm_((d_low * weight).T, h.mul_(keep_NI[rows]))
            d_h.mul_(weight)
            d_u = _product(d_up_NI[rows], a, d_h, p.slot)
            d_g = _silu_backward(d_gate_NI[rows], d_h.mul_(u), g, p.slot)
            d_gate_B[columns].addmm_((gate_NZ[at] * p.factor).T, d_g)
            d_up_B[columns].addmm_((up_NZ[at] * p.factor).T, d_u)
            d_gate_NZ[at] += (d_g @ gate_B[columns].T).mul_(p.factor)
            d_up_NZ[at] += (d_u @ up_B[columns].T).mul_(p.factor)
            if p.slot:
                d_gate_NI[rows] += d_g
                d_up_NI[rows] += d_u
        found = (d_gate_NI, d_up_NI, d_gate_NZ, d_up_NZ, d_gate_B, d_up_B, d_down_A, d_weight_NK)
        return *found, None, None, None


def _gate_up(
    gate_NI: Tensor, up_NI: Tensor, gate_NZ: Tensor, up_NZ: Tensor, gate_B: Tensor, up_B: Tensor, p: Part
) -> tuple[Tensor, Tensor]:
    low_g, low_u = gate_NZ[p.rows, p.columns] * p.factor, up_NZ[p.rows, p.columns] * p.factor
    g = torch.addmm(gate_NI[p.rows], low_g, gate_B[p.columns])
    return g, torch.addmm(up_NI[p.rows], low_u, up_B[p.columns])


def _weigh(total: Tensor, h: Tensor, weight: Tensor, slot: int) -> None:
    """Add a slot's weighed part to the sum; the first slot writes it."""
    if slot == 0:
        torch.mul(h, weight, out=total)
    else:
        total.addcmul_(h, weight)


def _product(total: Tensor, a: Tensor, b: Tensor, slot: int) -> Tensor:
    """a * b; for the first slot made where the sum over slots is."""
    return torch.mul(a, b, out=total) if slot == 0 else a * b


def _silu_backward(total: Tensor, d_a: Tensor, g: Tensor, slot: int) -> Tensor:
    """Gradient of silu at g; for the first slot made where the sum over slots is."""
    if slot == 0:
        return torch.ops.aten.silu_backward.grad_input(d_a, g, grad_input=total)
    return torch.ops.aten.silu_backward(d_a, g)


def slot_parts(expert_NK: Tensor, num_experts: int, rank: int, scale: float, dtype: torch.dtype) -> list[Part]:
    """One part per slot, over all rows and columns."""
    return [
        Part(k, slice(None), slice(None), chosen_columns(expert_NK[:, k], num_experts, rank, scale, dtype))
        for k in range(expert_NK.shape[1])
    ]


def chosen_columns(expert_N: Tensor, num_experts: int, rank: int, scale: float, dtype: torch.dtype) -> Tensor:
    """[N, Z]: `scale` at the columns of a token's expert, zero elsewhere."""
    return (F.one_hot(expert_N, num_experts).to(dtype) * scale).repeat_interleave(rank, dim=1)


def set_parts(order: Order, rank: int, scale: float, inner: int) -> list[Part]:
    """Parts that touch one expert each, of as many rows as the cache holds."""
    most = max(48, CACHED_ELEMENTS // inner)
    parts = []
    for start, stop, experts in order.sets:
        pieces = -(-(stop - start) // most)
        ends = [start + (stop - start) * i // pieces for i in range(pieces + 1)]
        for rows in (slice(a, b) for a, b in pairwise(ends)):
            parts += [Part(k, rows, slice(e * rank, (e + 1) * rank), scale) for k, e in enumerate(experts)]
    return parts


def sort_by_set(routing: Routing, num_experts: int) -> Order:
    """Sort tokens by which experts they chose; which slot an expert stands in makes no difference to the sum.

    Reads the sizes of the sets, so a GPU would have to be waited for.
    """
    expert_NK, slot_NK = routing.expert_NK.sort(dim=1)
    weight_NK = routing.weight_NK.gather(1, slot_NK)
    key_N = expert_NK[:, 0]
    for k in range(1, expert_NK.shape[1]):
        key_N = key_N * num_experts + expert_NK[:, k]
    key_N, order_N = key_N.sort(stable=True)
    _, sizes = key_N.unique_consecutive(return_counts=True)
    ends = sizes.cumsum(0).tolist()
    experts = expert_NK[order_N][[0, *ends[:-1]]].tolist()
    sets = [(a, b, tuple(e)) for a, b, e in zip([0, *ends[:-1]], ends, experts, strict=True)]
    ordered = replace(routing, weight_NK=weight_NK[order_N], expert_NK=expert_NK[order_N])
    return Order(order_N, order_N.argsort(), ordered, sets)
