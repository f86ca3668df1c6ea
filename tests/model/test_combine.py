"""What is made of adapters: PEFT's form, weighted sums, a further expert; a shared first matrix, long positions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pe_ray.errors import BaseModelError, UserError
from pe_ray.evaluate.scoring import only_expert
from pe_ray.model import adapter
from pe_ray.model.base import load_base, most_context
from pe_ray.model.combine import add_expert, combine
from pe_ray.model.export import probe, to_moe
from pe_ray.model.inject import adapter_parameters, expert_layers, inject
from pe_ray.model.lora import LoRALinear
from pe_ray.model.peft import to_peft
from tests.model import bases

IDS = torch.arange(24).view(2, 12) % 200


def _adapter(folder: Path, seed: int, base: Path, **changes) -> tuple[Path, object]:
    model, tokenizer = load_base(base)
    inject(model, bases.experts_config(**changes), seed=seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in adapter_parameters(model).items():
            if not name.endswith("_A") and not name.endswith(".A"):
                p.normal_(0, 0.05)
    out = folder / f"a{seed}" / "1"
    adapter.save_adapter(model.eval(), tokenizer, out, adapter.base_reference("base", base))
    return out, model


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return bases.tiny_llama(tmp_path / "base")


def test_one_expert_is_an_ordinary_peft_adapter(tmp_path: Path, base: Path) -> None:
    peft = pytest.importorskip("peft")
    path, model = _adapter(tmp_path, 1, base)
    name = model.experts_config.experts[2]
    to_peft(path, name, tmp_path / "peft")
    plain, _ = load_base(base)
    theirs = peft.PeftModel.from_pretrained(plain, str(tmp_path / "peft")).eval()
    with torch.no_grad(), only_expert(model, 2):
        ours = model(IDS).logits
    with torch.no_grad():
        assert (theirs(IDS).logits - ours).abs().max() <= 5e-6 * max(1.0, ours.abs().max().item())
    with pytest.raises(UserError, match="--expert nobody: is not one of"):
        to_peft(path, "nobody", tmp_path / "x")


def test_combined_deltas_are_the_weighted_sum(tmp_path: Path, base: Path) -> None:
    (one, first), (two, second) = (_adapter(tmp_path, seed, base) for seed in (1, 2))
    combine([(one, 0.75), (two, 0.5)], tmp_path / "both")
    both, _ = adapter.load(tmp_path / "both")
    for a, b, c in zip(expert_layers(first), expert_layers(second), expert_layers(both), strict=True):
        for matrix in ("gate", "up", "down"):
            for e in range(4):
                wanted = 0.75 * a.delta(matrix, e) + 0.5 * b.delta(matrix, e)
                assert torch.allclose(c.delta(matrix, e), wanted, atol=1e-6)
        assert torch.allclose(c.router.weight, (0.75 * a.router.weight + 0.5 * b.router.weight) / 1.25, atol=1e-6)
    pairs = ([m for m in x.modules() if isinstance(m, LoRALinear)] for x in (first, second, both))
    for a, b, c in zip(*pairs, strict=True):
        assert torch.allclose(c.delta(), 0.75 * a.delta() + 0.5 * b.delta(), atol=1e-6)


def test_an_adapter_combined_with_nothing_computes_the_same(tmp_path: Path, base: Path) -> None:
    one, model = _adapter(tmp_path, 1, base)
    two, _ = _adapter(tmp_path, 2, base)
    combine([(one, 1.0), (two, 0.0)], tmp_path / "same")
    same, _ = adapter.load(tmp_path / "same")
    with torch.no_grad():
        assert torch.allclose(same(IDS).logits, model(IDS).logits, atol=1e-5)


def test_adapters_that_do_not_add_up_are_refused(tmp_path: Path, base: Path) -> None:
    one, _ = _adapter(tmp_path, 1, base)
    two, _ = _adapter(tmp_path, 2, bases.tiny_llama(tmp_path / "other", num_hidden_layers=1))
    three, _ = _adapter(tmp_path, 3, base, top_k=1)
    with pytest.raises(UserError, match="another base"):
        combine([(one, 1.0), (two, 1.0)], tmp_path / "x")
    with pytest.raises(UserError, match=r"model\.top_k is not that of"):
        combine([(one, 1.0), (three, 1.0)], tmp_path / "x")
    with pytest.raises(UserError, match="give two or more"):
        combine([(one, 1.0)], tmp_path / "x")


def test_a_further_expert_stands_beside_the_trained_ones(tmp_path: Path, base: Path) -> None:
    path, model = _adapter(tmp_path, 1, base)
    like = model.experts_config.experts[1]
    config = add_expert(path, "grief", tmp_path / "five", like=like)
    five, _ = adapter.load(tmp_path / "five")
    assert config.experts[-1] == "grief" and len(five.experts_config.experts) == 5
    for old, new in zip(expert_layers(model), expert_layers(five), strict=True):
        for matrix in ("gate", "up", "down"):
            assert torch.equal(new.delta(matrix, 4), old.delta(matrix, 1))
            assert torch.equal(new.delta(matrix, 3), old.delta(matrix, 3))
        assert torch.equal(new.router.weight[:4], old.router.weight)
    with pytest.raises(UserError, match="grief is there already"):
        add_expert(tmp_path / "five", "grief", tmp_path / "x", like=like)


def test_a_shared_first_matrix_exports_as_exactly(tmp_path: Path, base: Path) -> None:
    path, model = _adapter(tmp_path, 1, base, shared_a=True)
    again, tokenizer = adapter.load(path)
    assert next(expert_layers(again)).gate_A.shape[0] == again.experts_config.rank
    to_moe(again, tokenizer, tmp_path / "merged")
    found = probe(again, tmp_path / "merged", IDS, new_tokens=8)
    assert found.max_logit_diff <= 5e-6 and found.greedy_equal
    peft = pytest.importorskip("peft")
    to_peft(path, again.experts_config.experts[0], tmp_path / "peft")
    theirs = peft.PeftModel.from_pretrained(load_base(base)[0], str(tmp_path / "peft")).eval()
    with torch.no_grad(), only_expert(model, 0):
        assert torch.allclose(theirs(IDS).logits, model(IDS).logits, atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn"])
def test_stretched_positions_export_as_exactly(tmp_path: Path, base: Path, kind: str) -> None:
    rope = {"type": kind, "factor": 2.0}
    short, (model, tokenizer) = most_context(base), load_base(base, rope=rope)
    assert model.config.max_position_embeddings == 2 * short == most_context(base, rope)
    inject(model, bases.experts_config(), seed=1)
    with torch.no_grad():
        for p in adapter_parameters(model).values():
            p.normal_(0, 0.05)
    ids = torch.randint(0, 200, (1, min(2 * short, short + 40)))
    to_moe(model, tokenizer, tmp_path / "merged")
    found = probe(model, tmp_path / "merged", ids, new_tokens=4)
    assert found.max_logit_diff <= 5e-6
    out = tmp_path / "a" / "1"
    adapter.save_adapter(model, tokenizer, out, adapter.base_reference("base", base, rope=rope))
    assert adapter.load(out)[0].config.max_position_embeddings == 2 * short


def test_positions_are_stretched_once(tmp_path: Path) -> None:
    from tests.model.bases import tiny_llama

    model, tokenizer = load_base(tiny_llama(tmp_path / "base"), rope={"type": "yarn", "factor": 2.0})
    model.save_pretrained(tmp_path / "long")
    tokenizer.save_pretrained(tmp_path / "long")
    with pytest.raises(BaseModelError, match="stretched already"):
        load_base(tmp_path / "long", rope={"type": "yarn", "factor": 2.0})
