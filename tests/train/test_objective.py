from __future__ import annotations

import pytest
import torch

from pe_ray.config import ModelConfig
from pe_ray.model import inject as injecting
from pe_ray.model import loss
from pe_ray.train.objective import Experts, NextToken, language_modelling, total
from pe_ray.train.packing import IGNORE, TrainBatches
from tests.train.toy import SHAPE, toy_examples, toy_model


def a_batch():
    return next(TrainBatches(toy_examples(), SHAPE, 7, pad_id=0).start(0))[0]


def test_chunks_change_neither_loss_nor_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    def run():
        model = toy_model()
        loss = language_modelling(model, a_batch())
        loss.backward()
        return loss.item(), [p.grad for p in model.parameters()]

    whole, gradients = run()
    monkeypatch.setattr(loss, "CHUNK", 5)
    chunked, others = run()
    assert chunked == pytest.approx(whole, rel=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients, others, strict=True))


def test_a_batch_without_a_learnt_token_has_a_loss_of_zero_with_a_graph() -> None:
    batch, model = a_batch(), toy_model()
    batch.labels_BT.fill_(IGNORE)
    loss = NextToken().terms(model, batch)["lm"]
    loss.backward()
    assert loss.item() == 0 and all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_experts_have_four_terms_that_reach_the_router() -> None:
    config = ModelConfig(experts=("x", "y", "z"), rank=2, alpha=4, dropout=0.0)
    model = injecting.inject(toy_model(), config, seed=1)
    goal, batch = Experts(config), a_batch()
    routers = [p for n, p in injecting.trainable(model).items() if "router" in n]
    for name in ("balance", "domain", "z"):
        model.zero_grad()
        goal.terms(model, batch)[name].backward()
        assert all(p.grad is not None and p.grad.any() for p in routers), name
    load = goal.expert_load(model, batch)
    assert load.sum() == batch.num_tokens * config.top_k * model.config.num_hidden_layers
    terms = goal.terms(model, batch)
    wanted = terms["lm"] + 0.15 * terms["balance"] + 0.1 * terms["domain"] + 1e-3 * terms["z"]
    assert total(terms, goal.coefficients).item() == pytest.approx(wanted.item())


def test_padding_counts_in_no_router_term() -> None:
    config = ModelConfig(experts=("x", "y", "z"), rank=2, alpha=4, dropout=0.0)
    model = injecting.inject(toy_model(), config, seed=1).eval()
    batch = a_batch()
    assert (batch.document_BT < 0).any()
    before = {k: v.item() for k, v in Experts(config).terms(model, batch).items()}
    batch.input_ids_BT[batch.document_BT < 0] = 13
    after = {k: v.item() for k, v in Experts(config).terms(model, batch).items()}
    assert after == pytest.approx(before, rel=1e-6)


def test_one_expert_has_nothing_to_route() -> None:
    config = ModelConfig(experts=("only",), top_k=1, rank=2, alpha=4)
    model = injecting.inject(toy_model(), config, seed=1)
    assert set(Experts(config).terms(model, a_batch())) == {"lm"}
