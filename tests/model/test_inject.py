"""Injected models: equal to the base at first, trainable where they should be, and recomputable."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig, Qwen3Config

from pe_ray.errors import BaseModelError
from pe_ray.model.inject import adapter_parameters, inject, trainable, trainable_share
from pe_ray.model.lora import LoRALinear
from pe_ray.model.router import balance_loss, collect, domain_loss, z_loss
from tests.model import bases

CONFIGS = {
    "llama": None,
    "mistral": MistralConfig(**bases.SHAPE, sliding_window=8),
    "qwen3": Qwen3Config(**bases.SHAPE),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_at_first_the_model_is_the_base(kind: str) -> None:
    ids = bases.random_ids()
    want = bases.dense_model(CONFIGS[kind])(ids).logits
    got = inject(bases.dense_model(CONFIGS[kind]), bases.experts_config(), seed=1)(ids).logits
    assert (got - want).abs().max() <= 2e-6


def test_only_what_was_added_learns() -> None:
    model = bases.expert_model(learnt=False)
    assert set(trainable(model)) == set(adapter_parameters(model))
    assert not any(".base." in n and p.requires_grad for n, p in model.named_parameters())
    # two layers: (A, B) of four projections, of three matrices, and a router
    assert len(trainable(model)) == 2 * (8 + 6 + 1)
    learning = sum(p.numel() for p in trainable(model).values())
    assert trainable_share(model) == pytest.approx(learning / sum(p.numel() for p in model.parameters()))


def test_initial_values_follow_the_seed() -> None:
    def values(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(torch.randint(0, 1000, ()).item())  # the global generator must not matter
        return adapter_parameters(bases.expert_model(seed=seed, learnt=False))

    one, same, other = values(1), values(1), values(2)
    assert all(torch.equal(one[n], same[n]) for n in one)
    assert all(bool(one[n].any()) == n.endswith(("A", "weight")) for n in one)
    assert not torch.equal(one["model.layers.0.mlp.gate_A"], other["model.layers.0.mlp.gate_A"])


def test_gradients_reach_everything_that_learns() -> None:
    model = bases.expert_model().train()
    ids = bases.random_ids()
    model(input_ids=ids, labels=ids).loss.backward()
    for name, p in trainable(model).items():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


def test_attention_targets_follow_the_configuration() -> None:
    model = inject(bases.dense_model(), bases.experts_config(attention=("q_proj",)), seed=1)
    assert isinstance(model.model.layers[0].self_attn.q_proj, LoRALinear)
    assert not isinstance(model.model.layers[0].self_attn.k_proj, LoRALinear)


def test_generate_with_a_cache_equals_greedy_without() -> None:
    model, ids = bases.expert_model(), bases.random_ids(2, 7)
    cached = model.generate(ids, max_new_tokens=12, do_sample=False, use_cache=True, eos_token_id=-1)
    rows = ids
    for _ in range(12):
        rows = torch.cat([rows, model(rows).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(cached, rows)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_recomputing_layers_changes_no_gradient_and_no_routing(dropout: float) -> None:
    """The auxiliary terms hang on logits written during the first pass; the recomputation must not replace them."""
    ids, document = bases.random_ids(), torch.arange(48) // 12
    found = []
    for recompute in (False, True):
        model = bases.expert_model(bases.experts_config(dropout=dropout)).train()
        if recompute:
            model.gradient_checkpointing_enable()
        torch.manual_seed(11)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        logits, written = collect(model).logits_LNE, dict(model.base_model.routing_tape.logits)
        loss = loss + balance_loss(logits, 2) + z_loss(logits) + domain_loss(logits, document, torch.arange(4))
        loss.backward()
        assert logits.shape == (2, 48, 4)
        assert all(model.base_model.routing_tape.logits[i] is tensor for i, tensor in written.items())
        gradients = {n: p.grad for n, p in trainable(model).items()}
        found.append(gradients | {"loss": loss.detach(), "logits": logits.detach()})
    for name, want in found[0].items():
        torch.testing.assert_close(found[1][name], want, rtol=1e-5, atol=1e-7, msg=name)


def test_two_forwards_before_backward_keep_their_own_routing() -> None:
    """Accumulation over micro-batches: the terms of the first are not those of the second."""
    model = bases.expert_model().train()
    model.gradient_checkpointing_enable()
    model(bases.random_ids(seed=1), use_cache=False)
    first = collect(model).logits_LNE
    model(bases.random_ids(seed=2), use_cache=False)
    second = collect(model).logits_LNE
    assert not torch.equal(first, second)
    (balance_loss(first, 2) + balance_loss(second, 2)).backward()
    assert torch.equal(collect(model).logits_LNE, second)


def test_injecting_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="carries experts already"):
        inject(bases.expert_model(), bases.experts_config(), seed=1)


def test_a_base_of_another_kind_is_refused() -> None:
    from transformers import GPT2Config

    gpt2 = AutoModelForCausalLM.from_config(GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=50))
    with pytest.raises(BaseModelError, match="model_type=gpt2 is not one of llama, mistral, qwen3"):
        inject(gpt2, bases.experts_config(), seed=1)


def test_pairs_stay_float32_over_a_bfloat16_base() -> None:
    model = inject(bases.dense_model().bfloat16(), bases.experts_config(), seed=1)
    assert {p.dtype for p in trainable(model).values()} == {torch.float32}
    assert model(bases.random_ids()).logits.dtype == torch.bfloat16
