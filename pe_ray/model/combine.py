"""Adapters made of adapters: several over the same base combined by weight, and a further expert beside trained ones.

    combine([(Path("adapters/a/1"), 0.7), (Path("adapters/b/1"), 0.3)], out)
    add_expert(Path("adapters/a/1"), "grief", out, like="mental_health")

Both work on the tensors alone: no base is loaded.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pe_ray.config import ModelConfig
from pe_ray.errors import UserError
from pe_ray.model.adapter import DESCRIPTION, WEIGHTS, read, tensors_of
from pe_ray.store.manifest import write_json

ALIKE = ("experts", "top_k", "attention", "shared_a")
"""What adapters must have in common to be combined."""


def combine(parts: Sequence[tuple[Path, float]], out: Path) -> ModelConfig:
    """Write the weighted sum of adapters over one base; returns its configuration.

    The sum of low-rank maps is exact: ranks stand side by side, and the rank of the result is the sum of theirs. The
    routers are averaged with the same weights, which is exact only where they agree: evaluate what comes out. Raises
    UserError for adapters of different bases or experts, or weights that add up to nothing.
    """
    total = sum(w for _, w in parts)
    if len(parts) < 2 or not math.isfinite(total) or total == 0:
        raise UserError(f"adapters combine: {len(parts)} adapters with a total weight of {total:g}; give two or more")
    described = [read(path) for path, _ in parts]
    configs = [ModelConfig(**d["model"]) for d in described]
    _check(parts, described, configs)
    if configs[0].shared_a:
        raise UserError("adapters combine: model.shared_a=true: their A would have to be one, which two are not")
    tensors = [tensors_of(path) for path, _ in parts]
    rank = sum(c.rank for c in configs)
    found = {name: _sum(name, [t[name] for t in tensors], configs, [w for _, w in parts], total) for name in tensors[0]}
    config = configs[0].model_copy(update={"rank": rank, "alpha": float(rank)})  # a scale of 1: theirs are in B
    _write(parts[0][0], out, described[0] | {"model": config.model_dump(mode="json")}, found)
    return config


def add_expert(adapter_dir: Path, name: str, out: Path, *, like: str) -> ModelConfig:
    """Write the adapter with one expert more, which begins as a copy of `like`; returns its configuration.

    Its router row is the mean of the others', so that it is at first asked for little; training from there
    (`train.start_from`) teaches it. Raises UserError for a name that is taken or an expert that there is not.
    """
    description = read(adapter_dir)
    cfg = ModelConfig(**description["model"])
    if name in cfg.experts:
        raise UserError(f"adapters add-expert: {name} is there already ({', '.join(cfg.experts)})")
    if like not in cfg.experts:
        raise UserError(f"--like {like}: is not one of {', '.join(cfg.experts)}")
    rows = slice(cfg.experts.index(like) * cfg.rank, (cfg.experts.index(like) + 1) * cfg.rank)
    found = {n: _longer(n, t, rows, cfg.shared_a) for n, t in tensors_of(adapter_dir).items()}
    config = cfg.model_copy(update={"experts": (*cfg.experts, name)})
    _write(adapter_dir, out, description | {"model": config.model_dump(mode="json")}, found)
    return config


def _check(
    parts: Sequence[tuple[Path, float]], described: Sequence[dict[str, Any]], configs: list[ModelConfig]
) -> None:
    for (path, _), description, config in zip(parts, described, configs, strict=True):
        if description["base"].get("fingerprint") != described[0]["base"].get("fingerprint"):
            raise UserError(f"{path}: was trained on another base than {parts[0][0]}; their deltas do not add up")
        for field in ALIKE:
            if getattr(config, field) != getattr(configs[0], field):
                raise UserError(f"{path}: model.{field} is not that of {parts[0][0]}; only like adapters add up")


def _sum(name: str, tensors: list[Tensor], configs: list[ModelConfig], weights: list[float], total: float) -> Tensor:
    parent, _, leaf = name.rpartition(".")
    if parent.endswith(".router"):
        return sum(t * (w / total) for t, w in zip(tensors, weights, strict=True))
    if leaf.endswith("B"):
        tensors = [t * (w * c.alpha / c.rank) for t, w, c in zip(tensors, weights, configs, strict=True)]
    if parent.endswith(".mlp"):  # experts are stacked: their ranks come together expert by expert
        blocks = [t.view(len(c.experts), c.rank, -1) for t, c in zip(tensors, configs, strict=True)]
        return torch.cat(blocks, dim=1).flatten(0, 1)
    return torch.cat(tensors, dim=1 if leaf == "B" else 0)


def _longer(name: str, tensor: Tensor, rows: slice, shared: bool) -> Tensor:
    parent, _, leaf = name.rpartition(".")
    if parent.endswith(".router"):
        return torch.cat([tensor, tensor.mean(dim=0, keepdim=True)])
    if parent.endswith(".mlp") and not (shared and leaf.endswith("A")):
        return torch.cat([tensor, tensor[rows]])
    return tensor


def _write(origin: Path, out: Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Everything of `origin` but its weights, description and manifest, then those."""
    out.mkdir(parents=True, exist_ok=True)
    left = {DESCRIPTION, WEIGHTS, "manifest.json", "README.md"}
    for file in (f for f in origin.iterdir() if f.is_file() and f.name not in left):
        shutil.copy2(file, out / file.name)
    base = dict(description["base"])
    if base.get("path") and not Path(base["path"]).is_absolute():
        base["path"] = str((origin.absolute() / base["path"]).resolve())
    save_file({n: t.contiguous() for n, t in tensors.items()}, out / WEIGHTS, metadata={"format": "pt"})
    write_json(out / DESCRIPTION, json.loads(json.dumps(description | {"base": base})))
