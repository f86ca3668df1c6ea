"""What leaves a run: the adapter, and the stock mixture-of-experts checkpoint that is shown to compute the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pe_ray.config import Config
from pe_ray.errors import PeRayError
from pe_ray.model import adapter
from pe_ray.model.base import load_base
from pe_ray.model.export import probe, to_moe
from pe_ray.model.inject import inject
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train.card import NAME, card
from pe_ray.train.checkpoint import KIND, Checkpoint

PROBE_SHAPE = (4, 64)
"""Rows and tokens of the probe batch: ids drawn over the whole vocabulary, so that every expert is asked."""


def export(config: Config, checkpoint: Path, base: str | Path, home: Home) -> dict[str, Any]:
    """Write the next version of `config.export.name` as adapter and, if asked, as merged model; the "export" stage.

    The merged model is made from the adapter as it is read back, so that the probe speaks for both. Raises PeRayError,
    and leaves no merged directory, if their logits differ by more than `export.tolerance` in float32.
    """
    base, made = Path(base).absolute(), manifest.read(checkpoint, KIND, verify=True)
    name = config.export.name
    version = home.next_version(name)
    parents = {**made.parents, "checkpoint": f"{made.parents['run']}/{checkpoint.name}"}
    out = home.adapter(name, version)
    with manifest.stage(out, kind="adapter", parents=parents) as stage:
        _write_adapter(config, checkpoint, base, made.facts, stage.path)
        stage.facts.update(_facts(config, base, name, version))
        (stage / NAME).write_text(card(config, home, parents, stage.facts, {}))
    result: dict[str, Any] = {"adapter": str(out), "merged": None, "architecture": None}
    result |= {"max_logit_diff": None, "near_ties": None}
    return result | (_merge(config, out, home, parents, base, version) if config.export.merged else {})


def _write_adapter(config: Config, checkpoint: Path, base: Path, facts: Any, out: Path) -> None:
    quantise = facts.get("quantise", "none")
    rope = config.base.rope.model_dump() if config.base.rope else None
    model, tokenizer = load_base(
        base, quantise=quantise, dtype=None, chat_template=config.base.chat_template, rope=rope
    )
    inject(model, config.model, config.train.seed)
    weights = Checkpoint(checkpoint, facts["step"], None).weights()
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert set(weights) == set(parameters), f"{checkpoint}: holds the parameters of another model"
    with torch.no_grad():
        for key, p in parameters.items():
            p.copy_(weights[key])
    reference = adapter.base_reference(
        config.base.name, base, revision=config.base.revision, quantise=quantise, rope=rope
    )
    adapter.save_adapter(model, tokenizer, out, reference)


def _merge(
    config: Config, adapter_dir: Path, home: Home, parents: dict[str, str], base: Path, version: int
) -> dict[str, Any]:
    name, wide = config.export.name, config.export.dtype == "float32"
    out = home.model(name, version)
    model, tokenizer = adapter.load(adapter_dir)
    ids = torch.randint(0, len(tokenizer), PROBE_SHAPE, generator=torch.Generator().manual_seed(0))
    with manifest.stage(out, kind="model", parents=parents | {"adapter": f"{name}@{version}"}) as stage:
        info = to_moe(model, tokenizer, stage.path, dtype=getattr(torch, config.export.dtype))
        found = probe(model, stage.path, ids)
        if wide and not found.max_logit_diff <= config.export.tolerance:  # a NaN is refused too
            raise PeRayError(
                f"export.tolerance={config.export.tolerance:g}: the merged model's logits differ by "
                f"{found.max_logit_diff:.2g} from the adapter's; nothing was exported as merged, the adapter stands"
            )
        stage.facts.update(_facts(config, base, name, version))
        stage.facts.update(architecture=info.architecture, parameters=info.parameters)
        stage.facts.update(max_logit_diff=found.max_logit_diff, near_ties=found.near_ties)
        (stage / NAME).write_text(
            card(config, home, parents | {"adapter": f"{name}@{version}"}, stage.facts, stage.facts)
        )
    return {
        "merged": str(out),
        "architecture": info.architecture,
        "max_logit_diff": found.max_logit_diff,
        "near_ties": found.near_ties,
        "greedy_equal": found.greedy_equal,
    }


def _facts(config: Config, base: Path, name: str, version: int) -> dict[str, Any]:
    demo = manifest.is_finished(base) and bool(manifest.read(base).facts.get("demo_base"))
    return {"name": name, "version": version, "base": config.base.name, "demo_base": demo}
