"""All forms of the experts compute what the merged matrices would, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pe_ray.model.experts import LoRAExperts
from pe_ray.model.forms import choose
from pe_ray.model.mix import Mix, set_parts, slot_parts, sort_by_set
from pe_ray.model.router import Router, Routing, Tape
from tests.model import bases

FORMS = ["loop", "masked", "lean", "sets", "grouped"]


class DenseMLP(nn.Module):
    """A frozen SwiGLU, as every supported base has it."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)
        self.act_fn = nn.SiLU()
        self.requires_grad_(False)


def layer(
    form: str,
    *,
    num_experts: int = 4,
    top_k: int = 2,
    rank: int = 4,
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float32,
    width: int = 16,
    inner: int = 32,
) -> LoRAExperts:
    torch.manual_seed(0)
    router = Router(width, num_experts, top_k, cast_weights=False, std=0.5)
    experts = LoRAExperts(
        DenseMLP(width, inner), router, rank=rank, alpha=8.0, dropout=dropout, layer=0, tape=Tape(), form=form
    )
    for name in ("gate_B", "up_B", "down_B"):
        nn.init.normal_(getattr(experts, name), std=0.2)
    return experts.to(dtype)


def naive(experts: LoRAExperts, x: torch.Tensor) -> torch.Tensor:
    """Every expert's merged MLP on every token, weighted: slow, and nothing shared. Differentiable."""
    flat = x.reshape(-1, x.shape[-1])
    routing = experts.router(flat)
    out = torch.zeros_like(flat)
    for e in range(experts.num_experts):
        rows = slice(e * experts.rank, (e + 1) * experts.rank)
        gate, up, down = (
            getattr(experts.base, f"{n}_proj").weight
            + experts.scale * getattr(experts, f"{n}_B")[rows].T @ getattr(experts, f"{n}_A")[rows]
            for n in ("gate", "up", "down")
        )
        y = (nn.functional.silu(flat @ gate.T) * (flat @ up.T)) @ down.T
        weight = (routing.weight_NK * (routing.expert_NK == e)).sum(dim=1, keepdim=True)
        out = out + weight * y
    return out.view_as(x)


def gradients(function, experts: LoRAExperts, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output and the gradients of x and everything trainable under a fixed random loss."""
    experts.zero_grad()
    x = x.clone().requires_grad_()
    y = function(x)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(9), dtype=y.dtype)
    (y * weight).sum().backward()
    found = {n: p.grad.clone() for n, p in experts.named_parameters() if p.requires_grad}
    return found | {"x": x.grad, "y": y.detach()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("num_experts", "top_k"), [(4, 2), (4, 1), (3, 3), (8, 2)])
def test_forms_agree_with_merged_matrices(form: str, num_experts: int, top_k: int) -> None:
    experts = layer(form, num_experts=num_experts, top_k=top_k)
    x = torch.randn(2, 9, 16)
    want, got = gradients(lambda v: naive(experts, v), experts, x), gradients(experts, experts, x)
    assert want["router.weight"].abs().max() > 1e-3 or top_k == 1
    for name in want:
        scale = max(1.0, want[name].abs().max().item())
        assert (got[name] - want[name]).abs().max().item() <= 3e-6 * scale, name


@pytest.mark.parametrize("form", FORMS[1:])
def test_forms_agree_under_dropout(form: str) -> None:
    """The tokens come sorted by their set of experts, so that every form draws the same factors for the same token."""
    x = torch.randn(1, 18, 16)
    x = x[:, sort_by_set(layer("loop").router(x[0]), 4).order_N]
    results = []
    for name in ("loop", form):
        experts = layer(name, dropout=0.3).train()
        torch.manual_seed(4)
        results.append(gradients(experts, experts, x))
    for name, want in results[0].items():
        torch.testing.assert_close(results[1][name], want, rtol=1e-5, atol=1e-5, msg=name)


def test_dropout_acts_in_training_only() -> None:
    experts, x = layer("masked", dropout=0.5), torch.randn(1, 6, 16)
    assert not torch.equal(experts.train()(x), experts(x))
    assert torch.equal(experts.eval()(x), experts(x))


def test_dropout_keeps_the_mean() -> None:
    experts, x = layer("masked", dropout=0.3, dtype=torch.float64), torch.randn(1, 2, 16, dtype=torch.float64)
    experts.gate_B.data.zero_()
    experts.up_B.data.zero_()  # then the output is linear in what is dropped
    torch.manual_seed(0)
    mean = torch.stack([experts.train()(x) for _ in range(1000)]).mean(dim=0)
    full, none = experts.eval()(x), experts.base.down_proj
    spread = (full - none(nn.functional.silu(experts.base.gate_proj(x)) * experts.base.up_proj(x))).abs().max()
    assert (mean - full).abs().max() < 0.15 * spread


@pytest.mark.parametrize("form", FORMS)
def test_an_expert_without_tokens_gets_a_zero_gradient(form: str) -> None:
    experts = layer(form)
    x = torch.randn(2, 9, 16).abs()
    with torch.no_grad():
        experts.router.weight[3] = -100  # never chosen for a positive input
    found = gradients(experts, experts, x)
    assert found["gate_B"][12:].abs().max() == 0
    assert found["down_A"][12:].abs().max() == 0
    assert found["gate_B"][:12].abs().max() > 0


@pytest.mark.parametrize("form", ["masked", "lean", "sets"])
def test_float64_equals_merged_matrices_to_the_last_digits(form: str) -> None:
    experts = layer(form, dtype=torch.float64)
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    want, got = gradients(lambda v: naive(experts, v), experts, x), gradients(experts, experts, x)
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-11, atol=1e-11, msg=name)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("form", ["lean", "sets"])
def test_gradcheck_of_the_node(form: str, dropout: bool) -> None:
    torch.manual_seed(0)
    num_tokens, inner, num_experts, rank = 7, 5, 3, 2

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    wide = [random(num_tokens, inner), random(num_tokens, inner)]
    low = [random(num_tokens, num_experts * rank) for _ in range(2)]
    pairs = [random(num_experts * rank, inner) for _ in range(3)]
    expert = torch.stack([torch.randperm(num_experts)[:2] for _ in range(num_tokens)])
    order = sort_by_set(Routing(expert, random(num_tokens, 2), expert), num_experts)
    parts = (
        slot_parts(expert, num_experts, rank, 1.5, torch.float64)
        if form == "lean"
        else set_parts(order, rank, 1.5, inner)
    )
    keep = (torch.rand(num_tokens, inner, dtype=torch.float64) > 0.3) / 0.7 if dropout else None
    assert torch.autograd.gradcheck(
        lambda *values: Mix.apply(*values, keep, parts, form == "lean"), (*wide, *low, *pairs, random(num_tokens, 2))
    )


def test_the_node_keeps_little() -> None:
    """Bytes that autograd holds between the passes, inner width 32 beside a rank of 4."""
    kept = {}
    for form in ("masked", "lean", "sets"):
        experts, sizes = layer(form, inner=512), {}

        def note(t: torch.Tensor, sizes=sizes) -> torch.Tensor:
            sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            experts(torch.randn(1, 256, 16, requires_grad=True))
        kept[form] = sum(sizes.values())
    assert kept["lean"] < 0.4 * kept["masked"]
    assert kept["sets"] < 0.8 * kept["masked"]  # it keeps g, u and silu(g) of each slot, to compute nothing twice


def test_sorting_by_set_can_be_undone() -> None:
    torch.manual_seed(0)
    expert = torch.stack([torch.randperm(4)[:2] for _ in range(30)])
    weight = torch.rand(30, 2)
    order = sort_by_set(Routing(expert, weight, expert), 4)
    assert torch.equal(torch.arange(30)[order.order_N][order.back_N], torch.arange(30))
    for i, token in enumerate(order.order_N.tolist()):
        pairs = dict(zip(expert[token].tolist(), weight[token].tolist(), strict=True))
        found = order.routing.expert_NK[i].tolist()
        assert pairs == dict(zip(found, order.routing.weight_NK[i].tolist(), strict=True))
        assert next(s for a, b, s in order.sets if a <= i < b) == tuple(found)


def test_parts_cover_every_row_once_per_slot() -> None:
    torch.manual_seed(0)
    expert = torch.stack([torch.randperm(4)[:2] for _ in range(500)])
    order = sort_by_set(Routing(expert, torch.rand(500, 2), expert), 4)
    parts = set_parts(order, 4, 1.0, inner=10**6)
    for slot in range(2):
        rows = [r for p in parts if p.slot == slot for r in range(p.rows.start, p.rows.stop)]
        assert rows == list(range(500))
    assert max(p.rows.stop - p.rows.start for p in parts) <= 48


def test_bfloat16_stays_close() -> None:
    experts = layer("masked")
    x = torch.randn(2, 9, 16)
    want = experts(x)
    experts.base.to(torch.bfloat16)
    got = experts(x.bfloat16())
    assert got.dtype == torch.bfloat16
    assert (got.float() - want).norm() / want.norm() < 0.03


@pytest.mark.parametrize("form", FORMS)
def test_autocast_trains(form: str) -> None:
    experts, x = layer(form, rank=8), torch.randn(2, 9, 16)
    want = gradients(experts, experts, x)
    with torch.autocast("cpu", torch.bfloat16):
        got = gradients(experts, experts, x)
    assert (got["gate_B"] - want["gate_B"]).norm() / want["gate_B"].norm() < 0.05


def test_one_expert_is_plain_lora() -> None:
    experts = layer("auto", num_experts=1, top_k=1)
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(experts(x), naive(experts, x), rtol=1e-5, atol=1e-5)
    assert not experts.router.weight.requires_grad


def test_the_form_follows_shape_dtype_and_device() -> None:
    def form(num_tokens: int, num_experts: int, rank: int = 16, dtype=torch.float32, device="cpu", act=nn.SiLU()):
        return choose(num_tokens, num_experts, min(2, num_experts), rank, dtype=dtype, device=device, act=act)

    assert form(512, 1) == "single"
    assert form(1, 4) == "masked"
    assert form(512, 4) == "sets"
    assert form(512, 4, act=nn.GELU()) == "masked"
    assert form(512, 4, device="cuda") == "lean"
    assert form(4096, 64, device="cuda", dtype=torch.bfloat16) == "grouped"
    assert form(4096, 64, rank=3, device="cuda") == "lean"
    assert form(1024, 64) == "grouped"
    assert form(1024, 64, dtype=torch.float64) == "masked"


@pytest.mark.parametrize("top_k", [1, 2])
def test_auto_agrees_whatever_it_chooses(top_k: int) -> None:
    for num_tokens in (1, 40, 200):
        experts, x = layer("auto", top_k=top_k), torch.randn(1, num_tokens, 16)
        torch.testing.assert_close(experts(x), naive(experts, x), rtol=1e-5, atol=1e-5)


def test_delta_is_what_the_layer_adds() -> None:
    experts = layer("loop", num_experts=1, top_k=1, dtype=torch.float64)
    rows = torch.randn(3, 16, dtype=torch.float64)
    low = rows @ experts.gate_A.T @ experts.gate_B * experts.scale
    torch.testing.assert_close(rows @ experts.delta("gate", 0).T, low)


def test_injected_model_agrees_over_forms() -> None:
    from pe_ray.model.inject import set_form

    model, ids = bases.expert_model(), bases.random_ids()
    logits = {}
    for form in FORMS:
        set_form(model, form)
        logits[form] = model(ids).logits
    for form in FORMS:
        assert (logits[form] - logits["loop"]).abs().max() < 5e-6, form
