"""Put experts, a router and attention LoRA into a frozen base, in place.

    model = inject(model, config.model, seed=7)
    model(input_ids)              # at first exactly the base: every B is zero, routing weights sum to one
    collect(model).logits_LNE     # the routers of that pass

Gradient checkpointing (`model.gradient_checkpointing_enable()`) works as it does in transformers 5, which recomputes
without re-entering autograd; the re-entrant kind would cut the routers' logits off from their graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pe_ray.model.base import check_config, check_weights
from pe_ray.model.experts import LoRAExperts
from pe_ray.model.lora import LoRALinear
from pe_ray.model.router import Router, Tape

if TYPE_CHECKING:  # pydantic is not everywhere that this runs (a bare GPU machine)
    from pe_ray.config import ModelConfig

OURS = (LoRALinear, LoRAExperts, Router)


def inject(model: PreTrainedModel, cfg: ModelConfig, seed: int) -> PreTrainedModel:
    """Freeze `model` and give every layer LoRA experts in its MLP and LoRA on its attention; returns the same model.

    The initial values depend on `seed` alone, not on the device. Raises BaseModelError for a base whose experts could
    not be exported exactly, ValueError for a model that carries experts already.
    """
    check_config(model.config, model.config.name_or_path or "the model")
    if hasattr(model, "experts_config"):
        raise ValueError("the model carries experts already; load its base again to put in others")
    check_weights((n for n, _ in model.named_parameters()), model.config.name_or_path or "the model")
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    model.experts_config = cfg
    model.base_model.routing_tape = tape = Tape()
    pair = {"rank": cfg.rank, "alpha": cfg.alpha, "dropout": cfg.dropout, "generator": generator}
    shared = getattr(cfg, "shared_a", False)  # a bench describes its experts without it
    for index, layer in enumerate(layers(model)):
        for name in cfg.attention:
            _place(layer.self_attn, name, LoRALinear(getattr(layer.self_attn, name), **pair))
        router = Router(
            model.config.hidden_size,
            len(cfg.experts),
            cfg.top_k,
            cast_weights=model.config.model_type == "qwen3",
            generator=generator,
        )
        _place(layer, "mlp", LoRAExperts(layer.mlp, router, **pair, layer=index, tape=tape, shared_a=shared))
    backbone = model.base_model
    backbone.register_forward_pre_hook(_open_tape, with_kwargs=True)
    backbone.register_forward_hook(_close_tape, always_call=True)
    return model


def layers(model: PreTrainedModel) -> nn.ModuleList:
    """The decoder layers."""
    return model.base_model.layers


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """What an optimizer should move, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Everything that `inject` added, by name, trainable or not."""
    return {
        f"{prefix}.{name}": p
        for prefix, module in model.named_modules()
        if isinstance(module, OURS)
        for name, p in module.named_parameters(recurse=False)
    }


def trainable_share(model: nn.Module) -> float:
    """Trainable parameters over all of them, the frozen base included; packed weights count unpacked."""
    sizes = [(p.requires_grad, _size(p)) for p in model.parameters()]
    return sum(n for learns, n in sizes if learns) / sum(n for _, n in sizes)


def set_form(model: nn.Module, form: str) -> None:
    """Compute all experts by one form (see forms.py), or choose again with `auto`."""
    for experts in expert_layers(model):
        experts.form = form


def expert_layers(model: nn.Module) -> Iterator[LoRAExperts]:
    """The injected MLPs, first layer first."""
    return (m for m in model.modules() if isinstance(m, LoRAExperts))


def _place(parent: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` where its base was, on the same device; a fresh module trains like its parent."""
    like = next(chain(module.base.parameters(), module.base.buffers()))  # fp8.py keeps its weights as buffers
    setattr(parent, name, _to_device(module, like).train(parent.training))


def _to_device(module: nn.Module, like: Tensor) -> nn.Module:
    """Move our own parameters only; they stay float32 (the master copy), or float64 over a float64 base."""
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    for child in (m for m in module.modules() if isinstance(m, OURS)):
        for p in child.parameters(recurse=False):
            p.data = p.data.to(device=like.device, dtype=dtype)
    return module


def _size(p: Tensor) -> int:
    state: Any = getattr(p, "quant_state", None)  # bitsandbytes packs two 4-bit weights into a byte
    return math.prod(state.shape) if state is not None else p.numel()


def _open_tape(backbone: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
    backbone.routing_tape.logits.clear()
    backbone.routing_tape.open = kwargs.get("past_key_values") is None


def _close_tape(backbone: nn.Module, args: tuple, output: Any) -> None:
    backbone.routing_tape.open = False
