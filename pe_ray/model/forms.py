"""Ways to compute the low-rank middle of the experts' MLP; all give the same values and gradients.

| form | method | for |
|---|---|---|
| loop | the formula, one expert after the other | reading, and as the reference of the others |
| single | plain LoRA | one expert |
| masked | one deep product; columns of experts that were not chosen times zero | few tokens; other than SiLU |
| lean | masked, as one node that keeps little for the backward pass (mix.py) | GPU |
| sets | tokens sorted by their set of experts, parts that fit the cache (mix.py) | CPU |
| grouped | slots sorted by expert, `torch.nn.functional.grouped_mm` | many experts or large ranks |

Legend: N tokens, H model width, I inner width, E experts, K slots (experts per token), R rank, Z = E x R, S = N x K
slots sorted by expert.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import SiLUActivation

from pe_ray.model.mix import Mix, Order, Part, chosen_columns, set_parts, slot_parts
from pe_ray.model.router import Routing


@dataclass(frozen=True)
class Middle:
    """What does not depend on the expert: gate_NI = W_g x, up_NI = W_u x, and x itself after its dropout.

    `keep_NI` is the dropout factor of what enters the down pairs, None without dropout.
    """

    gate_NI: Tensor
    up_NI: Tensor
    x_NH: Tensor
    keep_NI: Tensor | None
    routing: Routing
    act: Callable[[Tensor], Tensor]

    def weight_of(self, slot: int) -> Tensor:
        """[N, 1] in the dtype of the computation."""
        return self.routing.weight_NK[:, slot, None].to(self.x_NH.dtype)


@dataclass(frozen=True)
class Pairs:
    """The low-rank pairs of all experts of a layer in the dtype of the computation, experts stacked along Z."""

    gate_A_ZH: Tensor
    gate_B_ZI: Tensor
    up_A_ZH: Tensor
    up_B_ZI: Tensor
    down_A_ZI: Tensor
    down_B_ZH: Tensor
    scale: float
    num_experts: int
    rank: int


Form = Callable[[Middle, Pairs], tuple[Tensor, Tensor]]
"""Gives mixed_NI = sum_k p_k act(g_k) * u_k, which the frozen down matrix takes, and delta_NH of the down pairs."""


def choose(
    num_tokens: int, num_experts: int, top_k: int, rank: int, *, dtype: torch.dtype, device: str, act: Callable
) -> str:
    """The fastest form for this shape, dtype and device."""
    if num_experts == 1:
        return "single"
    is_silu = isinstance(act, nn.SiLU | SiLUActivation)
    if device == "cpu" and is_silu and num_tokens >= 16 * comb(num_experts, top_k):
        return "sets"
    sortable = dtype in (torch.float32, torch.bfloat16) and rank * dtype.itemsize % 16 == 0  # what grouped_mm accepts
    if sortable and num_experts * rank > 128 and num_tokens >= 128:
        return "grouped"
    return "lean" if is_silu and device != "cpu" else "masked"


def loop(m: Middle, w: Pairs) -> tuple[Tensor, Tensor]:
    """The formula, one expert after the other."""
    mixed_NI, delta_NH = torch.zeros_like(m.gate_NI), torch.zeros_like(m.x_NH)
    for e in range(w.num_experts):
        rows = slice(e * w.rank, (e + 1) * w.rank)
        token, slot = torch.where(m.routing.expert_NK == e)
        x, weight = m.x_NH[token], m.routing.weight_NK[token, slot, None].to(m.x_NH.dtype)
        g = m.gate_NI[token] + w.scale * (x @ w.gate_A_ZH[rows].T) @ w.gate_B_ZI[rows]
        u = m.up_NI[token] + w.scale * (x @ w.up_A_ZH[rows].T) @ w.up_B_ZI[rows]
        q = weight * m.act(g) * u
        kept = q if m.keep_NI is None else q * m.keep_NI[token]
        mixed_NI = mixed_NI.index_add(0, token, q)
        delta_NH = delta_NH.index_add(0, token, w.scale * (kept @ w.down_A_ZI[rows].T) @ w.down_B_ZH[rows])
    return mixed_NI, delta_NH


def single(m: Middle, w: Pairs) -> tuple[Tensor, Tensor]:
    """One expert, whose weight is 1."""
    g_NI = torch.addmm(m.gate_NI, m.x_NH @ w.gate_A_ZH.T * w.scale, w.gate_B_ZI)
    u_NI = torch.addmm(m.up_NI, m.x_NH @ w.up_A_ZH.T * w.scale, w.up_B_ZI)
    q_NI = m.act(g_NI) * u_NI
    kept_NI = q_NI if m.keep_NI is None else q_NI * m.keep_NI
    return q_NI, (kept_NI @ w.down_A_ZI.T * w.scale) @ w.down_B_ZH


def masked(m: Middle, w: Pairs) -> tuple[Tensor, Tensor]:
    """All experts' A in one product; a slot zeroes the columns of the experts that it did not choose."""
    gate_NZ, up_NZ = m.x_NH @ w.gate_A_ZH.T, m.x_NH @ w.up_A_ZH.T
    mixed_NI = down_NZ = None
    for k in range(m.routing.expert_NK.shape[1]):
        chosen_NZ = chosen_columns(m.routing.expert_NK[:, k], w.num_experts, w.rank, w.scale, m.x_NH.dtype)
        g_NI = torch.addmm(m.gate_NI, gate_NZ * chosen_NZ, w.gate_B_ZI)
        u_NI = torch.addmm(m.up_NI, up_NZ * chosen_NZ, w.up_B_ZI)
        q_NI = m.act(g_NI) * u_NI * m.weight_of(k)
        kept_NI = q_NI if m.keep_NI is None else q_NI * m.keep_NI
        low_NZ = (kept_NI @ w.down_A_ZI.T) * chosen_NZ
        mixed_NI, down_NZ = (q_NI, low_NZ) if k == 0 else (mixed_NI + q_NI, down_NZ + low_NZ)
    return mixed_NI, down_NZ @ w.down_B_ZH


def lean(m: Middle, w: Pairs) -> tuple[Tensor, Tensor]:
    """As `masked` and for SiLU, keeping little for the backward pass."""
    return _mix(m, w, slot_parts(m.routing.expert_NK, w.num_experts, w.rank, w.scale, m.x_NH.dtype), lean=True)


def sets(m: Middle, w: Pairs, order: Order) -> tuple[Tensor, Tensor]:
    """For SiLU and tokens in the order of `mix.sort_by_set`."""
    return _mix(m, w, set_parts(order, w.rank, w.scale, m.gate_NI.shape[1]), lean=False)


def _mix(m: Middle, w: Pairs, parts: list[Part], *, lean: bool) -> tuple[Tensor, Tensor]:
    gate_NZ, up_NZ = m.x_NH @ w.gate_A_ZH.T, m.x_NH @ w.up_A_ZH.T
    weight_NK = m.routing.weight_NK.to(m.x_NH.dtype)
    mixed_NI, down_NZ = Mix.apply(
        m.gate_NI, m.up_NI, gate_NZ, up_NZ, w.gate_B_ZI, w.up_B_ZI, w.down_A_ZI, weight_NK, m.keep_NI, parts, lean
    )
    return mixed_NI, down_NZ @ w.down_B_ZH


def grouped(m: Middle, w: Pairs) -> tuple[Tensor, Tensor]:
    """Slots sorted by expert once, then grouped products (`torch.nn.functional.grouped_mm`, torch 2.10)."""
    num_tokens, num_slots = m.routing.expert_NK.shape
    expert_S, order_S = m.routing.expert_NK.flatten().sort(stable=True)
    token_S, back_NK = order_S // num_slots, order_S.argsort().view(num_tokens, num_slots)
    ends_E = torch.searchsorted(expert_S, torch.arange(1, w.num_experts + 1, device=expert_S.device)).to(torch.int32)

    def per_expert(stacked: Tensor) -> Tensor:
        return stacked.view(w.num_experts, w.rank, -1)

    def widen(A_ZH: Tensor, B_ZI: Tensor) -> Tensor:
        low_NER = (m.x_NH @ A_ZH.T * w.scale).view(num_tokens, w.num_experts, w.rank)
        return F.grouped_mm(low_NER[token_S, expert_S], per_expert(B_ZI), offs=ends_E)

    weight_S1 = m.routing.weight_NK.flatten()[order_S, None].to(m.x_NH.dtype)
    g_SI = m.gate_NI[token_S] + widen(w.gate_A_ZH, w.gate_B_ZI)
    u_SI = m.up_NI[token_S] + widen(w.up_A_ZH, w.up_B_ZI)
    q_SI = m.act(g_SI) * u_SI * weight_S1
    kept_SI = q_SI if m.keep_NI is None else q_SI * m.keep_NI[token_S]
    low_SR = F.grouped_mm(kept_SI, per_expert(w.down_A_ZI).transpose(1, 2), offs=ends_E)
    delta_SH = F.grouped_mm(low_SR * w.scale, per_expert(w.down_B_ZH), offs=ends_E)
    return q_SI[back_NK].sum(dim=1), delta_SH[back_NK].sum(dim=1)


FORMS: dict[str, Form] = {"loop": loop, "single": single, "masked": masked, "lean": lean, "grouped": grouped}
"""`sets` is apart: its tokens come in another order, which LoRAExperts arranges."""
