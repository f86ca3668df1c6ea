"""One expert is PEFT's LoRA: same values, same losses over eight AdamW steps."""

from __future__ import annotations

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from pe_ray.model.inject import adapter_parameters, inject, trainable
from pe_ray.model.lora import LoRALinear
from tests.model import bases

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def losses(model: nn.Module, steps: int = 8) -> list[float]:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.01)
    found = []
    for step in range(steps):
        ids = bases.random_ids(4, 24, seed=step % 3)
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_one_expert_trains_as_peft_does() -> None:
    peft = get_peft_model(
        bases.dense_model(), LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS, bias="none")
    )
    ours = inject(bases.dense_model(), bases.experts_config(experts=("only",), top_k=1), seed=1)
    theirs = dict(peft.named_parameters())
    with torch.no_grad():
        for name, p in adapter_parameters(ours).items():
            if "router" not in name:
                p.copy_(theirs[peft_name(name)].T if name.endswith("_B") else theirs[peft_name(name)])
    assert len(trainable(ours)) == sum(p.requires_grad for p in theirs.values())
    want, got = losses(peft), losses(ours)
    assert want[-1] < want[0] - 0.05
    assert max(abs(a - b) for a, b in zip(want, got, strict=True)) <= 5e-6


def peft_name(name: str) -> str:
    """model.layers.0.mlp.gate_A -> base_model.model.model.layers.0.mlp.gate_proj.lora_A.default.weight."""
    stem, side = name[:-1].rstrip("._"), name[-1]
    stem = stem if stem.endswith("_proj") else f"{stem}_proj"
    return f"base_model.model.{stem}.lora_{side}.default.weight"


def test_delta_is_the_merged_difference() -> None:
    torch.manual_seed(0)
    linear = LoRALinear(nn.Linear(6, 5), rank=2, alpha=4.0, dropout=0.0)
    nn.init.normal_(linear.B)
    x = torch.randn(3, 4, 6)
    merged = nn.functional.linear(x, linear.base.weight + linear.delta(torch.float32), linear.base.bias)
    torch.testing.assert_close(linear(x), merged, rtol=1e-5, atol=1e-5)


def test_dropout_touches_the_low_rank_input_alone() -> None:
    torch.manual_seed(0)
    linear = LoRALinear(nn.Linear(6, 5), rank=2, alpha=4.0, dropout=0.5)
    x = torch.randn(3, 6)
    assert torch.equal(linear.train()(x), linear.base(x))  # B is zero
    nn.init.normal_(linear.B)
    assert not torch.equal(linear(x), linear(x))
    assert torch.equal(linear.eval()(x), linear(x))
