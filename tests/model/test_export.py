"""The merged checkpoint computes the same function, and a checkpoint that does not is found out."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PretrainedConfig, Qwen3Config

from pe_ray.errors import BaseModelError, UserError
from pe_ray.model.base import load_base
from pe_ray.model.export import Shards, near_ties, probe, to_moe
from pe_ray.model.inject import expert_layers, inject, trainable
from pe_ray.model.router import balance_loss, collect, domain_loss
from tests.model import bases

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

MAKERS = {
    "llama": lambda out: bases.tiny_llama(out, rope_parameters=LLAMA3_ROPE),
    "llama tied": lambda out: bases.tiny_llama(out, tie_word_embeddings=True, head_dim=32),
    "mistral": bases.tiny_mistral,
    "qwen3": lambda out: bases.tiny_qwen3(out, attention_bias=True),
    "qwen3 tied": lambda out: bases.tiny_qwen3(out, tie_word_embeddings=True),
}


def exported(tmp_path, make=bases.tiny_llama, **options):
    model, tokenizer = load_base(make(tmp_path / "base"))
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    return model, to_moe(model, tokenizer, tmp_path / "merged", **options)


@pytest.mark.parametrize("name", MAKERS)
def test_merged_model_equals_the_adapter(tmp_path, name: str) -> None:
    model, info = exported(tmp_path, MAKERS[name])
    found = probe(model, tmp_path / "merged", bases.random_ids(4, 32))
    assert found.max_logit_diff <= 5e-6
    assert found.greedy_equal
    assert found.near_ties <= 2
    assert info.architecture == ("Qwen3MoeForCausalLM" if "qwen3" in name else "MixtralForCausalLM")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert type(merged).__name__ == info.architecture
    assert info.parameters == sum(p.numel() for p in merged.parameters())
    assert info.rounding_loss < 1e-3
    assert info.untouched == ()


def test_a_zeroed_expert_is_found_by_the_probe(tmp_path) -> None:
    model, _ = exported(tmp_path)
    file = tmp_path / "merged" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.1.block_sparse_moe.experts.2.w2.weight"].zero_()
    save_file(tensors, file, metadata={"format": "pt"})
    assert probe(model, tmp_path / "merged", bases.random_ids()).max_logit_diff > 1e-3


def test_a_trained_model_exports_as_exactly(tmp_path) -> None:
    """From the initial values, with dropout and the auxiliary terms, as a run would train it."""
    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"))
    inject(model, bases.experts_config(dropout=0.1), seed=1).train()
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=3e-3)
    losses, document = [], torch.arange(96) // 24
    for step in range(20):
        ids = bases.random_ids(4, 24, seed=step % 2)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        logits = collect(model).logits_LNE
        losses.append(loss.item())
        (loss + 0.01 * balance_loss(logits, 2) + 0.1 * domain_loss(logits, document, torch.arange(4))).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.2
    info = to_moe(model, tokenizer, tmp_path / "merged")
    found = probe(model, tmp_path / "merged", bases.random_ids(4, 32))
    assert model.training  # the probe gives it back as it was
    assert found.max_logit_diff <= 5e-6
    assert found.greedy_equal
    assert info.untouched == ()
    assert info.rounding_loss < 1e-3


def test_names_on_disk_are_per_expert(tmp_path) -> None:
    exported(tmp_path)
    tensors = load_file(tmp_path / "merged" / "model.safetensors")
    block = "model.layers.0.block_sparse_moe"
    wanted = {f"{block}.experts.{e}.{w}.weight" for e in range(4) for w in ("w1", "w2", "w3")}
    assert {n for n in tensors if n.startswith(block)} == wanted | {f"{block}.gate.weight"}


def test_shards_and_their_index_load_as_one(tmp_path) -> None:
    model, info = exported(tmp_path, shard_bytes=100_000)
    index = json.loads((tmp_path / "merged" / "model.safetensors.index.json").read_text())
    files = set(index["weight_map"].values())
    assert len(files) > 2
    assert {p.name for p in (tmp_path / "merged").glob("*.safetensors")} == files
    assert index["metadata"]["total_size"] == 4 * info.parameters
    assert probe(model, tmp_path / "merged", bases.random_ids(1)).max_logit_diff <= 5e-6


def test_tokenizer_template_and_generation_settings_travel(tmp_path) -> None:
    exported(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.chat_template == bases.CHATML
    assert tokenizer.decode(tokenizer("Grüß dich").input_ids) == "Grüß dich"
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["eos_token_id"] == 258
    assert json.loads((tmp_path / "merged" / "generation_config.json").read_text())["eos_token_id"] == 258


def test_one_expert_exports_too(tmp_path) -> None:
    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"))
    bases.disturb(inject(model, bases.experts_config(experts=("only",), top_k=1), seed=1))
    to_moe(model, tokenizer, tmp_path / "merged")
    assert probe(model, tmp_path / "merged", bases.random_ids()).max_logit_diff <= 5e-6


def test_bfloat16_is_written_and_its_loss_reported(tmp_path) -> None:
    model, info = exported(tmp_path, dtype="bfloat16")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").dtype == torch.bfloat16
    assert 1e-4 < info.rounding_loss < 0.5
    assert 1e-5 < probe(model, tmp_path / "merged", bases.random_ids()).max_logit_diff < 0.5


def test_deltas_too_small_for_the_dtype_are_refused(tmp_path) -> None:
    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"))
    bases.disturb(inject(model, bases.experts_config(), seed=1), scale=1e-6)
    with pytest.raises(UserError, match=r"export.dtype=bfloat16: .*psychology.*layer 0.*float32"):
        to_moe(model, tokenizer, tmp_path / "merged", dtype="bfloat16")


def test_an_expert_that_learnt_nothing_is_refused(tmp_path) -> None:
    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"))
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    for mlp in expert_layers(model):
        for name in ("gate_B", "up_B", "down_B"):
            getattr(mlp, name).data[4:8] = 0
    with pytest.raises(UserError, match="expert mental_health has learnt nothing"):
        to_moe(model, tokenizer, tmp_path / "merged")


def test_an_expert_untouched_in_one_layer_is_reported_and_exact(tmp_path) -> None:
    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"))
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    first = next(expert_layers(model))
    for name in ("gate_B", "up_B", "down_B"):
        getattr(first, name).data[4:8] = 0
    assert to_moe(model, tokenizer, tmp_path / "merged").untouched == ("layer 0: mental_health",)
    assert probe(model, tmp_path / "merged", bases.random_ids()).max_logit_diff <= 5e-6


def test_two_equal_experts_are_not_passed_over(tmp_path) -> None:
    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"))
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    first = next(expert_layers(model))
    for name in ("up_A", "up_B"):
        getattr(first, name).data[4:8] = getattr(first, name).data[0:4]
    with pytest.raises(AssertionError, match="psychology equals mental_health"):
        to_moe(model, tokenizer, tmp_path / "merged")


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (bases.tiny_llama, {"attention_bias": True}, "attention_bias=True"),
        (bases.tiny_llama, {"mlp_bias": True}, "mlp_bias=True"),
        (
            bases.tiny_qwen3,
            {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
            "layer_types holds sliding_attention",
        ),
    ],
)
def test_what_cannot_be_exact_is_refused_when_the_base_is_loaded(tmp_path, make, changes, message: str) -> None:
    path = make(tmp_path / "base", **changes)
    with pytest.raises(BaseModelError, match=message):
        load_base(path)


def test_and_refused_again_at_the_export(tmp_path) -> None:
    model, tokenizer = load_base(bases.tiny_qwen3(tmp_path / "base"))
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    model.config.layer_types = ["full_attention", "sliding_attention"]
    with pytest.raises(BaseModelError, match="sliding_attention"):
        to_moe(model, tokenizer, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_near_ties_are_those_that_rounding_could_flip() -> None:
    logits = torch.tensor([[[3.0, 2.0, 1.0], [3.0, 1.0, 1.0 + 1e-6]]])
    assert near_ties(logits, 2).tolist() == [False, True]
    assert near_ties(logits, 3).tolist() == [False, False]


def test_shards_hold_what_was_added(tmp_path) -> None:
    shards = Shards(tmp_path, limit=10**9)
    shards.add("a", torch.ones(3, 2).T)
    shards.close()
    assert load_file(tmp_path / "model.safetensors")["a"].shape == (2, 3)


def test_qwen3_target_renormalises() -> None:
    from pe_ray.model.targets import target_of

    base: PretrainedConfig = Qwen3Config(**bases.SHAPE)
    config = target_of(base).config(base, bases.experts_config())
    assert config.norm_topk_prob
    assert config.moe_intermediate_size == base.intermediate_size
    assert config.head_dim == base.head_dim
