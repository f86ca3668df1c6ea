"""Counts against real models, and against the published shape of Llama-3.1-8B."""

from __future__ import annotations

import pytest
from transformers import LlamaConfig, MistralConfig, Qwen3Config

from pe_ray.config import ModelConfig
from pe_ray.model.export import to_moe
from pe_ray.model.flops import flops_per_token, parameters
from pe_ray.model.inject import inject, trainable, trainable_share
from tests.model import bases

LLAMA_8B = LlamaConfig(
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    vocab_size=128256,
)


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**bases.SHAPE),
        LlamaConfig(**(bases.SHAPE | {"tie_word_embeddings": True, "head_dim": 32})),
        MistralConfig(**bases.SHAPE),
        Qwen3Config(**bases.SHAPE),
    ],
    ids=["llama", "tied", "mistral", "qwen3"],
)
def test_counts_are_those_of_real_models(config, tmp_path) -> None:
    cfg = bases.experts_config()
    model = bases.dense_model(config)
    frozen = sum(p.numel() for p in model.parameters())
    bases.disturb(inject(model, cfg, seed=1))
    counted = parameters(config, cfg)
    assert counted.frozen == frozen
    assert counted.trainable == sum(p.numel() for p in trainable(model).values())
    assert counted.merged == to_moe(model, bases.byte_tokenizer(), tmp_path).parameters
    assert counted.trainable_share == pytest.approx(trainable_share(model))


def test_llama_8b() -> None:
    """Figures derived by hand: 127.4 M trainable, 24.94 B merged, 13.67 B active; 36.9 GFLOP a token at 8,192."""
    counted = parameters(LLAMA_8B, ModelConfig())
    assert counted.trainable == pytest.approx(127.4e6, rel=1e-3)
    assert counted.merged == pytest.approx(24.94e9, rel=1e-3)
    assert counted.merged_active == pytest.approx(13.67e9, rel=1e-3)
    step = flops_per_token(LLAMA_8B, ModelConfig(), 8192)
    assert step.model == pytest.approx(36.9e9, rel=2e-3)
    assert flops_per_token(LLAMA_8B, ModelConfig(), 8192, form="naive").model == pytest.approx(59.4e9, rel=5e-3)
    assert flops_per_token(LLAMA_8B, ModelConfig(), 8192, form="masked").model == pytest.approx(37.8e9, rel=5e-3)
    plain = ModelConfig(experts=("one",), top_k=1)
    assert flops_per_token(LLAMA_8B, plain, 8192).model == pytest.approx(36.7e9, rel=2e-3)


def test_recomputation_is_hardware_work_only() -> None:
    plain = flops_per_token(LLAMA_8B, ModelConfig(), 8192)
    again = flops_per_token(LLAMA_8B, ModelConfig(), 8192, recompute=True)
    assert again.model == plain.model
    assert 1.25 < again.hardware / plain.hardware < 1.5
