"""How a dense base is written as a stock mixture of experts: the configuration and the names on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import MixtralConfig, PretrainedConfig, Qwen3MoeConfig

from pe_ray.config import ModelConfig

COPIED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "rope_parameters",
    "attention_dropout",
    "tie_word_embeddings",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)
"""Fields that mean the same in the base and in both targets; Mixtral's own defaults differ (theta 1e6, eps 1e-5)."""


@dataclass(frozen=True)
class Target:
    """A stock architecture. Names are those that engines expect on disk: one tensor per expert and matrix."""

    architecture: str
    block: str
    expert: dict[str, str]
    config: Callable[[PretrainedConfig, ModelConfig], PretrainedConfig]

    def expert_name(self, layer: int, expert: int, matrix: str) -> str:
        """Name of an expert's weight; `matrix` is gate, up or down."""
        return f"model.layers.{layer}.{self.block}.experts.{expert}.{self.expert[matrix]}.weight"

    def router_name(self, layer: int) -> str:
        """Name of a router's weight."""
        return f"model.layers.{layer}.{self.block}.gate.weight"


def target_of(base: PretrainedConfig) -> Target:
    """The architecture that computes what experts over this base compute."""
    return TARGETS[base.model_type]


def _mixtral(base: PretrainedConfig, cfg: ModelConfig) -> PretrainedConfig:
    return MixtralConfig(
        **_common(base, cfg),
        intermediate_size=base.intermediate_size,
        num_local_experts=len(cfg.experts),
        sliding_window=base.sliding_window if base.model_type == "mistral" else None,
        router_jitter_noise=0.0,
    )


def _qwen3_moe(base: PretrainedConfig, cfg: ModelConfig) -> PretrainedConfig:
    return Qwen3MoeConfig(
        **_common(base, cfg),
        intermediate_size=base.intermediate_size,
        moe_intermediate_size=base.intermediate_size,
        num_experts=len(cfg.experts),
        decoder_sparse_step=1,
        mlp_only_layers=[],
        norm_topk_prob=True,  # the default is False, which would not renormalise
        attention_bias=base.attention_bias,
        use_sliding_window=False,
    )


def _common(base: PretrainedConfig, cfg: ModelConfig) -> dict[str, Any]:
    fields = {name: getattr(base, name) for name in COPIED if hasattr(base, name)}
    return fields | {"num_experts_per_tok": cfg.top_k, "router_aux_loss_coef": cfg.balance_coef, "use_cache": True}


_MIXTRAL = Target("MixtralForCausalLM", "block_sparse_moe", {"gate": "w1", "up": "w3", "down": "w2"}, _mixtral)
_QWEN3 = Target("Qwen3MoeForCausalLM", "mlp", {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}, _qwen3_moe)
TARGETS = {"llama": _MIXTRAL, "mistral": _MIXTRAL, "qwen3": _QWEN3}
