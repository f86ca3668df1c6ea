"""Scoring against documents that are run one at a time, and against the loss of training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pe_ray.evaluate.scoring import only_expert, packed, score, without_adapter
from pe_ray.model import router
from pe_ray.train.data import Examples
from pe_ray.train.objective import language_modelling
from pe_ray.train.packing import Shape, evaluation_batches
from tests.model.bases import dense_model, disturb, expert_model, experts_config, random_ids

CONTEXT = 48


def documents(count: int = 11, seed: int = 3) -> Examples:
    """Random documents of 6 to 40 tokens; the second half of each is learnt."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(6, 41, count)
    tokens = [rng.integers(0, 256, n) for n in lengths]
    masks = [np.arange(n) >= n // 2 for n in lengths]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Examples(
        np.concatenate(tokens).astype(np.int32), np.concatenate(masks).astype(np.int8), starts, np.arange(count) % 4
    )


def alone(model, examples: Examples, x: int) -> dict[str, float | np.ndarray]:
    """One document unpacked, the obvious way."""
    a, b = examples.start_X[x], examples.start_X[x + 1]
    ids = torch.tensor(examples.token_T[a:b].astype(np.int64))[None]
    learnt = torch.tensor(examples.mask_T[a + 1 : b] == 1)
    with torch.no_grad():
        logits = model(ids).logits[0, :-1]
        log = router.collect(model).logits_LNE.log_softmax(-1)
    loss = F.cross_entropy(logits[learnt], ids[0, 1:][learnt], reduction="sum").item()
    load = np.zeros((log.shape[0], log.shape[2]))
    for layer, rows in enumerate(log):
        for row in rows:
            for e in row.topk(2).indices.tolist():
                load[layer, e] += 1
    entropy = -(log.exp() * log).sum(-1).mean(0).sum().item()
    correct = (logits[learnt].argmax(-1) == ids[0, 1:][learnt]).sum().item()
    return {"loss": loss, "learnt": int(learnt.sum()), "correct": correct, "load": load, "entropy": entropy}


def test_packed_scores_equal_documents_one_at_a_time() -> None:
    model, examples = expert_model(), documents()
    found = score(model, examples, context=CONTEXT, pad_id=256, rows=2)
    for x in range(len(examples)):
        one = alone(model, examples, x)
        assert found.loss_D[x] == pytest.approx(one["loss"], rel=1e-5)
        assert found.learnt_D[x] == one["learnt"]
        assert found.correct_D[x] == one["correct"]
        assert found.entropy_D[x] == pytest.approx(one["entropy"], rel=1e-5)
        np.testing.assert_array_equal(found.load_LDE[:, x], one["load"])
    np.testing.assert_array_equal(found.load_LDE.sum((0, 2)), found.tokens_D * 2 * 2)  # layers x top_k


def test_the_mean_is_the_loss_of_training() -> None:
    model, examples = expert_model(), documents()
    found = score(model, examples, context=CONTEXT, pad_id=256, rows=2)
    batches = evaluation_batches(examples, Shape(2, 1, CONTEXT), pad_id=256, max_tokens=10**6)
    with torch.no_grad():
        loss = sum(language_modelling(model, b).item() * b.weight for b in batches)
    assert found.loss_D.sum() / found.learnt_D.sum() == pytest.approx(loss, rel=1e-5)


def test_long_documents_are_cut_and_silent_ones_have_no_part() -> None:
    examples = documents()
    examples.mask_T[examples.start_X[4] : examples.start_X[5]] = 0
    found = score(expert_model(), examples, context=10, pad_id=256)
    assert found.tokens_D[4] == found.learnt_D[4] == found.loss_D[4] == 0
    assert found.learnt_D[0] > 0
    seen = [d for _, document_P in packed(examples, Shape(2, 1, 10), 256) for d in document_P.tolist()]
    assert len(seen) > len(examples)
    assert set(seen) == set(range(len(examples))) - {4}


def test_no_documents_give_empty_scores() -> None:
    empty = documents().take(np.zeros(0, dtype=int))
    assert len(score(expert_model(), empty, context=CONTEXT, pad_id=256).loss_D) == 0


def test_without_its_adapter_a_model_is_its_base_and_then_itself_again() -> None:
    model, base, ids = expert_model(), dense_model(), random_ids()
    with torch.no_grad():
        before = model(ids).logits
        with without_adapter(model):
            torch.testing.assert_close(model(ids).logits, base(ids).logits, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(before, base(ids).logits, atol=1e-3)
        assert torch.equal(model(ids).logits, before)


@pytest.mark.parametrize("form", ["auto", "loop", "masked", "grouped", "sets"])
def test_one_expert_alone_is_a_model_that_has_no_other(form: str) -> None:
    from pe_ray.model.inject import adapter_parameters, expert_layers, inject, set_form

    model, ids = expert_model(), random_ids()
    set_form(model, form)
    single = inject(dense_model(), experts_config(experts=("one",), top_k=1), seed=0)
    for expert in range(4):
        rows = slice(expert * 4, expert * 4 + 4)
        theirs = adapter_parameters(model)
        with torch.no_grad():
            for name, p in adapter_parameters(single).items():
                if not name.endswith("router.weight"):
                    p.copy_(theirs[name][rows] if ".mlp." in name else theirs[name])
            with only_expert(model, expert):
                torch.testing.assert_close(model(ids).logits, single(ids).logits, atol=2e-5, rtol=1e-4)
    assert not any(layer.router._forward_hooks for layer in expert_layers(model))


def test_a_model_with_one_expert_has_nothing_to_route() -> None:
    model = disturb(expert_model(experts_config(experts=("one",), top_k=1), learnt=False))
    found = score(model, documents(), context=CONTEXT, pad_id=256)
    assert found.load_LDE is None
    assert found.entropy_D is None
    assert found.loss_D.sum() > 0
    assert score(dense_model(), documents(), context=CONTEXT, pad_id=256).load_LDE is None
