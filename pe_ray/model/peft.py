"""One expert by itself as an ordinary PEFT adapter: what loads LoRA loads it, and computes what that expert computes.

to_peft(Path(".pe_ray/adapters/therapist/1"), "psychology", Path("psychology-lora"))
PeftModel.from_pretrained(base, "psychology-lora")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from pe_ray.config import ModelConfig
from pe_ray.errors import UserError
from pe_ray.model.adapter import read, tensors_of
from pe_ray.model.experts import NAMES
from pe_ray.store.manifest import write_json

PREFIX = "base_model.model."


def to_peft(adapter_dir: Path, expert: str, out: Path) -> dict[str, Any]:
    """Write the LoRA of `expert`, and of the attention, in PEFT's form; returns its configuration.

    With one expert the router has nothing to say, so that no routing is lost: this is the model as it answers when
    every token goes to that expert. Raises UserError for an expert that there is not.
    """
    description = read(adapter_dir)
    cfg = ModelConfig(**description["model"])
    if expert not in cfg.experts:
        raise UserError(f"--expert {expert}: is not one of {', '.join(cfg.experts)}")
    tensors = tensors_of(adapter_dir)
    rows = slice(cfg.experts.index(expert) * cfg.rank, (cfg.experts.index(expert) + 1) * cfg.rank)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found |= _renamed(name, tensor, rows, cfg.shared_a)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": description["base"]["name"],
        "r": cfg.rank,
        "lora_alpha": cfg.alpha,
        "lora_dropout": cfg.dropout,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": sorted([*cfg.attention, *(f"{n}_proj" for n in NAMES)]),
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file({n: t.contiguous() for n, t in found.items()}, out / "adapter_model.safetensors", {"format": "pt"})
    write_json(out / "adapter_config.json", config)
    return config


def _renamed(name: str, tensor: Tensor, rows: slice, shared: bool) -> dict[str, Tensor]:
    """A tensor of ours under PEFT's name: an expert's rows of the stacked ones; nothing for the router."""
    parent, _, leaf = name.rpartition(".")
    if parent.endswith(".router"):
        return {}
    if parent.endswith(".mlp"):
        matrix, side = leaf.split("_")
        part = tensor if shared and side == "A" else tensor[rows]
        return {f"{PREFIX}{parent}.{matrix}_proj.lora_{side}.weight": part if side == "A" else part.T}
    return {f"{PREFIX}{parent}.lora_{leaf}.weight": tensor}
