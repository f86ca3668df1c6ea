"""The models that a training step is measured on: ours, plain LoRA, and the ways that others compute experts.

Only torch, transformers and the standard library are imported at the top (PEFT inside its functions), so that a bare
GPU machine can run it. Legend: B rows, T tokens of a row, M learnt tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, PreTrainedModel

from pe_ray.model import router
from pe_ray.model.experts import LoRAExperts
from pe_ray.model.forms import Form
from pe_ray.model.inject import expert_layers, inject
from pe_ray.model.loss import next_token
from pe_ray.model.router import Routing

DROPOUT = 0.1
"""Of every profile; PEFT refuses it for stacked parameters, so it is on where both sides can have it."""
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a base with random weights, and of a batch."""

    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    rows: int
    context: int

    def base(self) -> LlamaConfig:
        return LlamaConfig(**self._common())

    def mixture(self, experts: int, top_k: int) -> MixtralConfig:
        return MixtralConfig(**self._common(), num_local_experts=experts, num_experts_per_tok=top_k)

    def _common(self) -> dict[str, Any]:
        return {
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "use_cache": False,
        }


SHAPES = {
    "tiny": Shape(64, 192, 2, 4, 2, 512, 1, 128),
    "small": Shape(384, 1344, 4, 6, 6, 512, 2, 256),
    "wide": Shape(1024, 3584, 4, 16, 16, 512, 2, 256),
    "llama-8b": Shape(4096, 14336, 32, 32, 8, 128256, 1, 8192),
}


@dataclass(frozen=True)
class Experts:
    """What `inject` reads of a `ModelConfig`, which needs pydantic."""

    experts: tuple[str, ...]
    top_k: int
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    attention: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


ONE = Experts(("only",), 1)
FOUR = Experts(("one", "two", "three", "four"), 2)


def dropped(experts: Experts) -> Experts:
    """The same with the dropout of every profile."""
    return replace(experts, dropout=DROPOUT)


@dataclass
class Contender:
    """A model with its optimizer; `step` is one optimizer step on a batch of random tokens."""

    name: str
    model: PreTrainedModel
    terms: Callable[[PreTrainedModel], Tensor] | None = None
    """What is added to the loss of language modelling."""
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.model.train()
        learnt = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learnt, lr=1e-4, fused=True)

    def step(self, ids_BT: Tensor) -> float:
        """Forward, backward, AdamW; returns the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = next_token(self.model, ids_BT)
        total = loss if self.terms is None else loss + self.terms(self.model)
        total.backward()
        self.optimizer.step()
        return float(loss.detach())


def dense(shape: Shape, device: str = "cpu", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A llama of this shape with random weights."""
    return _random(shape.base(), device, dtype)


def ours(name: str, base: PreTrainedModel, experts: Experts, form: str | Form = "auto") -> Contender:
    """Our experts over a base, with the terms of the router."""
    model = inject(base, experts, seed=7)
    for layer in expert_layers(model):
        if isinstance(form, str):
            layer.form = form
    return Contender(name, model, _router_terms(experts) if len(experts.experts) > 1 else None)


def per_expert_down(base: PreTrainedModel) -> Contender:
    """The published scheme (MixLoRA, arXiv 2404.15159): gate and up shared, the frozen down product per expert."""
    model = inject(base, FOUR, seed=7)
    for layer in expert_layers(model):
        layer.__class__ = PerExpertDown
    return Contender("per expert down", model, _router_terms(FOUR))


def peft_lora(base: PreTrainedModel, dropout: float) -> Contender:
    """PEFT's LoRA of rank 16 on all seven linear maps of a layer."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=dropout, target_modules=LINEARS)
    return Contender("PEFT LoRA", get_peft_model(base, config))


def peft_target_parameters(shape: Shape, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Contender:
    """PEFT's LoRA on the stacked experts of a merged Mixtral."""
    from peft import LoraConfig, get_peft_model

    merged = _random(shape.mixture(4, 2), device, dtype)
    config = LoraConfig(
        r=16,
        lora_alpha=32,
        lora_dropout=0.0,
        target_modules=LINEARS[:4],
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    )
    return Contender("PEFT target_parameters", get_peft_model(merged, config))


class PerExpertDown(LoRAExperts):
    """Experts one after the other; each takes its own tokens through the frozen down matrix."""

    def forward(self, hidden_BTH: Tensor) -> Tensor:
        hidden_NH = hidden_BTH.reshape(-1, hidden_BTH.shape[-1])
        routing: Routing = self.router(hidden_NH)
        self.tape.write(self.layer, routing.logits_NE)
        gate_NI, up_NI = self.base.gate_proj(hidden_NH), self.base.up_proj(hidden_NH)
        pairs, out_NH = self.pairs(gate_NI.dtype), torch.zeros_like(hidden_NH)
        for e in range(self.num_experts):
            rows = slice(e * self.rank, (e + 1) * self.rank)
            token, slot = torch.where(routing.expert_NK == e)
            x = hidden_NH[token]
            g = torch.addmm(gate_NI[token], x @ pairs.gate_A_ZH[rows].T * self.scale, pairs.gate_B_ZI[rows])
            u = torch.addmm(up_NI[token], x @ pairs.up_A_ZH[rows].T * self.scale, pairs.up_B_ZI[rows])
            h = self.base.act_fn(g) * u
            y = torch.addmm(self.base.down_proj(h), h @ pairs.down_A_ZI[rows].T * self.scale, pairs.down_B_ZH[rows])
            out_NH = out_NH.index_add(0, token, y * routing.weight_NK[token, slot, None].to(y.dtype))
        return out_NH.view_as(hidden_BTH)


def tokens(shape: Shape, device: str = "cpu") -> Tensor:
    """A batch of random tokens, [B, T]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(shape.vocabulary, (shape.rows, shape.context), generator=generator).to(device)


def _router_terms(experts: Experts) -> Callable[[nn.Module], Tensor]:
    def terms(model: nn.Module) -> Tensor:
        logits_LNE = router.collect(model).logits_LNE
        return 0.01 * router.balance_loss(logits_LNE, experts.top_k) + 1e-3 * router.z_loss(logits_LNE)

    return terms


def _random(config: Any, device: str, dtype: torch.dtype) -> PreTrainedModel:
    with torch.device(device):
        torch.manual_seed(0)
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
        finally:
            torch.set_default_dtype(default)
