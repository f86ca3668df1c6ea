"""Parameters, and floating-point operations per token, of a base with experts; used wherever a utilisation is given.

A product of a token with a matrix of P entries is 2 P operations forward. A frozen matrix costs 2 P more backward (the
gradient of its input), a trainable one 4 P. Causal attention is counted once: half of the full square. Elementwise
passes, norms and softmax are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pydantic is not everywhere that this runs (a bare GPU machine)
    from pe_ray.config import ModelConfig


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters. `merged` and `merged_active`: of the exported mixture, whole and used by a token."""

    frozen: int
    trainable: int
    merged: int
    merged_active: int

    @property
    def trainable_share(self) -> float:
        """Trainable over all, in the adapter form."""
        return self.trainable / (self.frozen + self.trainable)


@dataclass(frozen=True)
class Flops:
    """Operations per token of one training step."""

    forward: float
    backward: float
    recompute: float

    @property
    def model(self) -> float:
        """What the mathematics needs: the numerator of a model-FLOP utilisation."""
        return self.forward + self.backward

    @property
    def hardware(self) -> float:
        """What is executed, recomputation included."""
        return self.model + self.recompute


@dataclass(frozen=True)
class _Shape:
    """Sizes of a base: matrix entries of one layer's attention and MLP, and of the vocabulary matrix."""

    layers: int
    width: int
    inner: int
    attention_width: int
    attention: int
    mlp: int
    vocabulary: int


def parameters(base: Any, cfg: ModelConfig) -> Parameters:
    """Counts for a transformers configuration `base` (llama, mistral, qwen3) with the experts of `cfg`."""
    s = _shape(base)
    norms = s.layers * 2 * s.width + s.width + (2 * s.layers * _head_dim(base) if base.model_type == "qwen3" else 0)
    embedding = s.vocabulary if base.tie_word_embeddings else 2 * s.vocabulary
    frozen = s.layers * (s.attention + s.mlp) + embedding + norms
    num_experts = len(cfg.experts)
    router = s.layers * num_experts * s.width
    learnt_router = router if num_experts > 1 else 0
    trainable = s.layers * (_experts(s, cfg) + _attention_lora(base, cfg)) + learnt_router
    merged = frozen + s.layers * (num_experts - 1) * s.mlp + router
    active = merged - s.layers * (num_experts - cfg.top_k) * s.mlp
    return Parameters(frozen, trainable, merged, active)


def flops_per_token(
    base: Any, cfg: ModelConfig, context: int, *, form: str = "grouped", recompute: bool = False
) -> Flops:
    """Operations per token of a training step at `context` tokens per document.

    `form`: grouped counts the chosen experts' pairs only, masked the whole stack as experts.masked computes it, naive
    a whole MLP per chosen expert (the merged model with frozen weights).
    """
    s = _shape(base)
    num_experts, top_k = len(cfg.experts), cfg.top_k
    copies = top_k if form == "naive" else 1
    frozen = s.layers * (s.attention + copies * s.mlp) + s.vocabulary
    ins, outs = 2 * s.width + s.inner, 2 * s.inner + s.width
    if form == "masked" and num_experts > 1:
        # gate and up A once, their B per slot; down A per slot, its B once
        low = num_experts * cfg.rank * (3 * s.width + top_k * 3 * s.inner)
    else:
        low = top_k * cfg.rank * (ins + outs)
    trained = s.layers * (low + _attention_lora(base, cfg) + num_experts * s.width)
    attention = s.layers * 2 * 2 * s.attention_width * context / 2
    forward = 2 * frozen + 2 * trained + attention
    backward = 2 * frozen + 4 * trained + 2 * attention
    return Flops(forward, backward, forward - 2 * s.vocabulary if recompute else 0.0)


def _shape(base: Any) -> _Shape:
    width, head = base.hidden_size, _head_dim(base)
    q, kv = base.num_attention_heads * head, base.num_key_value_heads * head
    return _Shape(
        layers=base.num_hidden_layers,
        width=width,
        inner=base.intermediate_size,
        attention_width=q,
        attention=width * (2 * q + 2 * kv),
        mlp=3 * width * base.intermediate_size,
        vocabulary=base.vocab_size * width,
    )


def _experts(s: _Shape, cfg: ModelConfig) -> int:
    """Entries of all pairs of a layer; a shared A counts once."""
    num_experts = len(cfg.experts)
    ins, outs = 2 * s.width + s.inner, 2 * s.inner + s.width
    return cfg.rank * (ins * (1 if getattr(cfg, "shared_a", False) else num_experts) + outs * num_experts)


def _attention_lora(base: Any, cfg: ModelConfig) -> int:
    width, head = base.hidden_size, _head_dim(base)
    q, kv = base.num_attention_heads * head, base.num_key_value_heads * head
    ends = {"q_proj": width + q, "k_proj": width + kv, "v_proj": width + kv, "o_proj": q + width}
    return cfg.rank * sum(ends[name] for name in cfg.attention)


def _head_dim(base: Any) -> int:
    return getattr(base, "head_dim", None) or base.hidden_size // base.num_attention_heads
