"""LoRA experts over one frozen MLP: each frozen matrix is applied once per token, whatever the number of experts.

    g_e = W_g x + s B^g_e A^g_e x      u_e = W_u x + s B^u_e A^u_e x      q_e = p_e act(g_e) * u_e
    y   = W_d (sum_e q_e) + s sum_e B^d_e A^d_e q_e

W_g x and W_u x do not depend on the expert; W_d is linear and common, so the weighted sum goes through it once. MixLoRA
(Li et al. 2024, arXiv 2404.15159) applies W_d per chosen expert; the two agree by linearity.

Legend: B batch, T length, N = B x T tokens, H model width, I inner width, Z experts x rank.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from pe_ray.model.dropout import dropout, factor_like
from pe_ray.model.forms import FORMS, Form, Middle, Pairs, choose, sets
from pe_ray.model.lora import low_rank_in
from pe_ray.model.mix import sort_by_set
from pe_ray.model.router import Router, Routing, Tape

NAMES = ("gate", "up", "down")


class LoRAExperts(nn.Module):
    """Takes the place of a decoder layer's MLP: the frozen MLP, low-rank experts over it, a router.

    `form` is a way to compute them (see forms.py), or `auto`.
    """

    def __init__(
        self,
        base: nn.Module,
        router: Router,
        *,
        rank: int,
        alpha: float,
        dropout: float,
        layer: int,
        tape: Tape,
        form: str = "auto",
        shared_a: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.router = router
        self.num_experts = router.weight.shape[0]
        self.rank, self.scale, self.dropout = rank, alpha / rank, dropout
        self.layer, self.tape, self.form, self.shared_a = layer, tape, form, shared_a
        rows = self.num_experts * rank
        for name in NAMES:
            linear = getattr(base, f"{name}_proj")
            setattr(self, f"{name}_A", low_rank_in(rank if shared_a else rows, linear.in_features, generator))
            # B is stored transposed, experts stacked: the masked form multiplies by it as it lies.
            setattr(self, f"{name}_B", nn.Parameter(torch.zeros(rows, linear.out_features)))

    def forward(self, hidden_BTH: Tensor) -> Tensor:
        """[B, T, H] to [B, T, H]."""
        hidden_NH = hidden_BTH.reshape(-1, hidden_BTH.shape[-1])
        routing = self.router(hidden_NH)
        self.tape.write(self.layer, routing.logits_NE)
        form = self._form(hidden_NH)
        if form == "sets":
            order = sort_by_set(routing, self.num_experts)
            sorted_NH = self._compute(partial(sets, order=order), hidden_NH[order.order_N], order.routing)
            return sorted_NH[order.back_N].view_as(hidden_BTH)
        return self._compute(FORMS[form], hidden_NH, routing).view_as(hidden_BTH)

    def _compute(self, form: Form, hidden_NH: Tensor, routing: Routing) -> Tensor:
        gate_NI, up_NI = self.base.gate_proj(hidden_NH), self.base.up_proj(hidden_NH)
        drops = self.training and self.dropout > 0
        # One draw for all slots of a token: they go to different experts.
        keep_NI = factor_like(gate_NI, self.dropout) if drops else None
        x_NH = dropout(hidden_NH, self.dropout, self.training).to(gate_NI.dtype)  # they differ under autocast
        middle = Middle(gate_NI, up_NI, x_NH, keep_NI, routing, self.base.act_fn)
        mixed_NI, delta_NH = form(middle, self.pairs(gate_NI.dtype))
        return self.base.down_proj(mixed_NI) + delta_NH

    def _form(self, hidden_NH: Tensor) -> str:
        if self.form != "auto":
            return self.form
        return choose(
            len(hidden_NH),
            self.num_experts,
            self.router.top_k,
            self.rank,
            dtype=hidden_NH.dtype,
            device=hidden_NH.device.type,
            act=self.base.act_fn,
        )

    def pairs(self, dtype: torch.dtype) -> Pairs:
        """The low-rank weights, cast where they are kept wider than the computation."""
        weights = [self._stacked(name, side).to(dtype) for name in NAMES for side in "AB"]
        return Pairs(*weights, self.scale, self.num_experts, self.rank)

    def _stacked(self, name: str, side: str) -> Tensor:
        """[Z, in or out]; a shared A once for every expert, so that all forms compute it as they compute the others."""
        weight: Tensor = getattr(self, f"{name}_{side}")
        return weight.repeat(self.num_experts, 1) if side == "A" and self.shared_a else weight

    def delta(self, name: str, expert: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """What expert `expert` adds to the frozen `name` (gate, up or down) weight, [out, in], in `dtype`."""
        rows = slice(expert * self.rank, (expert + 1) * self.rank)
        A, B = (self._stacked(name, side).detach()[rows].to(dtype) for side in "AB")
        return self.scale * B.T @ A

    def has_learnt(self, expert: int) -> bool:
        """Whether any of the expert's pairs has left its initial value, at which B is zero."""
        rows = slice(expert * self.rank, (expert + 1) * self.rank)
        return any(bool(getattr(self, f"{name}_B")[rows].any()) for name in NAMES)

    def extra_repr(self) -> str:
        return f"experts={self.num_experts}, top_k={self.router.top_k}, rank={self.rank}, form={self.form}"
