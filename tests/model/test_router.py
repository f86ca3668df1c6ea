"""Routing as the export targets do it, and the terms against slow or foreign versions."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from transformers import MixtralConfig, Qwen3MoeConfig
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter, load_balancing_loss_func
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeTopKRouter

from pe_ray.model.router import (
    Router,
    balance_loss,
    collect,
    domain_loss,
    domain_use,
    expert_load,
    expert_share,
    z_loss,
)
from tests.model import bases


def logits(layers: int = 3, tokens: int = 20, experts: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(layers, tokens, experts, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_routing_is_that_of_mixtral_and_qwen3(dtype: torch.dtype) -> None:
    x = torch.randn(50, 16).to(dtype)
    mixtral = MixtralTopKRouter(MixtralConfig(hidden_size=16, num_local_experts=4, num_experts_per_tok=2))
    qwen3 = Qwen3MoeTopKRouter(
        Qwen3MoeConfig(hidden_size=16, num_experts=4, num_experts_per_tok=2, norm_topk_prob=True)
    )
    for target, cast in ((mixtral, False), (qwen3, True)):
        ours = Router(16, 4, 2, cast_weights=cast)
        target.to(dtype).weight.data = ours.weight.data.to(dtype)
        want_logits, want_weight, want_expert = target(x)
        got = ours(x)
        assert torch.equal(got.logits_NE, want_logits)
        assert torch.equal(got.expert_NK, want_expert)
        assert torch.equal(got.weight_NK, want_weight)
        assert got.weight_NK.dtype == want_weight.dtype


def test_balance_equals_transformers() -> None:
    x = logits()
    want = load_balancing_loss_func(tuple(x), 4, 2)
    assert balance_loss(x, 2).item() == pytest.approx(want.item(), abs=3e-7)
    mask = (torch.arange(20) % 3 > 0).float()
    want = load_balancing_loss_func(tuple(x), 4, 2, attention_mask=mask.view(2, 10))
    assert balance_loss(x, 2, mask).item() == pytest.approx(want.item(), abs=3e-7)


def test_balance_equals_the_merged_models_own(tmp_path) -> None:
    from transformers import AutoModelForCausalLM

    from pe_ray.model.export import to_moe

    model = bases.expert_model()
    to_moe(model, bases.byte_tokenizer(), tmp_path)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = bases.random_ids()
    want = merged(ids, output_router_logits=True).aux_loss
    model(ids)
    assert balance_loss(collect(model).logits_LNE, 2).item() == pytest.approx(want.item(), abs=3e-6)


def test_uniform_router_has_balance_top_k() -> None:
    assert balance_loss(torch.randn(2, 4000, 4) * 1e-4, 2).item() == pytest.approx(2.0, abs=1e-2)
    assert balance_loss(torch.tensor([8.0, 7.0, 0.0, 0.0]).expand(2, 30, 4), 2).item() > 3.5


def test_z_term_is_the_mean_square_of_the_log_partition() -> None:
    x = logits()
    mask = torch.arange(20) < 7
    want = sum(math.log(sum(math.exp(v) for v in x[i, n].tolist())) ** 2 for i in range(3) for n in range(7)) / 21
    assert z_loss(x, mask).item() == pytest.approx(want, rel=1e-5)


def test_domain_term_against_a_slow_version() -> None:
    x = logits(layers=2, tokens=9)
    document = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2, -1])
    domain = torch.tensor([3, -1, 0])
    want = 0.0
    for layer in range(2):
        for d, wanted in ((0, 3), (2, 0)):
            probability = [x[layer, n].softmax(-1) for n in range(9) if document[n] == d]
            want -= len(probability) * math.log(torch.stack(probability).mean(0)[wanted].item())
    assert domain_loss(x, document, domain).item() == pytest.approx(want / (2 * 5), rel=1e-5)


def test_many_short_documents_weigh_no_more_than_one_long_one() -> None:
    x = torch.zeros(1, 8, 4, requires_grad=True)
    document = torch.tensor([0, 0, 0, 0, 1, 2, 3, 4])
    domain_loss(x, document, torch.tensor([1, 2, 2, 2, 2])).backward()
    pull_E = x.grad[0].sum(dim=0)
    assert pull_E[1].item() == pytest.approx(pull_E[2].item()) and pull_E[1] < 0


def test_domain_term_pulls_towards_the_expert_of_the_domain() -> None:
    x = torch.zeros(1, 4, 4, requires_grad=True)
    domain_loss(x, torch.tensor([0, 0, 1, -1]), torch.tensor([2, 1])).backward()
    assert x.grad[0].argmin(dim=-1).tolist()[:3] == [2, 2, 1]
    assert x.grad[0, 3].abs().max() == 0


def test_domain_term_without_a_known_domain_is_zero_and_has_a_graph() -> None:
    x = torch.zeros(1, 4, 4, requires_grad=True)
    loss = domain_loss(x, torch.zeros(4, dtype=torch.long), torch.tensor([-1]))
    loss.backward()
    assert loss.item() == 0
    assert x.grad.abs().max() == 0


def test_share_counts_routed_slots() -> None:
    x = torch.tensor([[[3.0, 2, 1, 0], [3, 2, 1, 0], [0, 1, 2, 3]]])
    assert expert_load(x, 2).tolist() == [2, 2, 1, 1]
    assert expert_share(x, 2) == pytest.approx([1 / 3, 1 / 3, 1 / 6, 1 / 6])
    assert expert_share(x, 2, torch.tensor([1, 1, 0])) == pytest.approx([0.5, 0.5, 0, 0])


def test_use_by_domain_is_a_mean_over_documents() -> None:
    x = logits(layers=2, tokens=6)
    document, domain = torch.tensor([0, 0, 1, 2, 2, -1]), torch.tensor([1, 1, -1])
    p = x.softmax(-1).mean(0)
    use = domain_use(x, document, domain, 3)
    torch.testing.assert_close(use[1], (p[:2].mean(0) + p[2]) / 2)
    assert use[0].abs().max() == 0
    assert use[2].abs().max() == 0


def test_logits_are_collected_per_forward_and_not_while_generating() -> None:
    model, ids = bases.expert_model(), bases.random_ids(2, 10)
    with pytest.raises(RuntimeError, match="no routing"):
        collect(model)
    model(ids)
    assert collect(model).logits_LNE.shape == (2, 20, 4)
    model(ids[:1])
    assert collect(model).logits_LNE.shape == (2, 10, 4)
    model.generate(ids, max_new_tokens=5, do_sample=False)
    with pytest.raises(RuntimeError, match="no routing"):
        collect(model)


def test_logits_of_the_backbone_alone_are_collected_too() -> None:
    model, ids = bases.expert_model(), bases.random_ids(1, 10)
    model.model(ids)
    assert collect(model).logits_LNE.shape == (2, 10, 4)


def test_the_tape_closes_after_an_error() -> None:
    model = bases.expert_model()
    with pytest.raises(IndexError):
        model(torch.tensor([[10_000]]))
    assert not model.base_model.routing_tape.open


def test_a_copy_has_its_own_tape() -> None:
    model, ids = bases.expert_model(), bases.random_ids(1, 10)
    model(ids)
    twin = copy.deepcopy(model)
    twin(ids[:, :5])
    assert collect(twin).logits_LNE.shape[1] == 5
    assert collect(model).logits_LNE.shape[1] == 10
