"""The model that is evaluated, an adapter on disk or the best checkpoint of a run, and the corpus it learnt from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pe_ray.config import load as load_config
from pe_ray.errors import AdapterNotFound, ManifestError, UserError
from pe_ray.model import adapter
from pe_ray.model.inject import trainable
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train.checkpoint import PLAN, Checkpoint, best
from pe_ray.train.profiles import Profile
from pe_ray.train.setup import build_model, device_of

MOST_CONTEXT = 2048
"""Context of an adapter whose run is not known, where its base holds as much."""


@dataclass(frozen=True)
class Subject:
    """A model with experts in evaluation mode, its tokenizer, and where both are from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    tokenizer_dir: Path
    chat_template: str | None
    context: int
    trained_on: str | None
    """Fingerprint of its corpus, where the manifest says."""
    origin: dict[str, Any]
    """What the document says of it: run, adapter, checkpoint, base."""

    @property
    def experts(self) -> tuple[str, ...]:
        """Names, in the order of the router's columns."""
        return tuple(self.model.experts_config.experts)


def subject_of(home: Home, *, run_id: str | None = None, adapter_ref: str | None = None) -> Subject:
    """The model of a run id, or of an adapter: a directory, `name`, `name@version` or `latest`.

    Raises UserError unless exactly one of the two is given, or if there is no such run; AdapterNotFound.
    """
    if (run_id is None) == (adapter_ref is None):
        raise UserError("evaluate model: give either --run-id or --adapter")
    return of_run(home, str(run_id)) if adapter_ref is None else of_adapter(home, adapter_ref)


def of_run(home: Home, run_id: str) -> Subject:
    """The checkpoint of a run with the best evaluation, as it was trained: same base, same profile."""
    run_dir = home.run(run_id)
    if not (run_dir / "config.yaml").is_file():
        known = sorted(p.parent.name for p in run_dir.parent.glob("*/steps.jsonl"))
        raise UserError(f"--run-id {run_id}: no such training run; known: {', '.join(known) or 'none'}")
    config = load_config(run_dir / "config.yaml", [])
    path, base = best(run_dir)
    made = manifest.read(path, "checkpoint", verify=True)
    profile = Profile(**json.loads((run_dir / PLAN).read_text())["profile"])
    model, tokenizer = build_model(config, profile, base, device_of())
    _restore(model, Checkpoint(path, made.facts["step"], None).weights(), path)
    origin = {"run": run_id, "adapter": None, "checkpoint": path.name, "base": config.base.name}
    return Subject(
        model.eval(),
        tokenizer,
        base,
        config.base.chat_template,
        profile.context,
        made.parents.get("corpus"),
        origin | _about(model, made.parents.get("base")),
    )


def of_adapter(home: Home, ref: str) -> Subject:
    """An exported adapter on its base."""
    path = Path(ref) if Path(ref).is_dir() else home.resolve_model(ref, "adapter")
    if not (path / adapter.DESCRIPTION).is_file():
        raise AdapterNotFound(f"no adapter at {path} ({adapter.DESCRIPTION} is missing; a merged model has none)")
    model, tokenizer = adapter.load(path, device=str(device_of()))
    parents = manifest.read(path, "adapter").parents if manifest.is_finished(path) else {}
    described = json.loads((path / adapter.DESCRIPTION).read_text())["base"]
    ref = f"{path.absolute().parent.name}@{path.name}" if path.name.isdigit() else path.name
    origin = {"run": parents.get("run"), "adapter": ref, "checkpoint": parents.get("checkpoint")}
    origin |= {"base": described["name"]} | _about(model, described.get("fingerprint"))
    context = min(MOST_CONTEXT, model.config.max_position_embeddings)
    return Subject(model, tokenizer, path, None, context, parents.get("corpus"), origin)


def corpus_dir_of(home: Home, subject: Subject) -> Path:
    """The corpus that the model learnt from, in this home. Raises UserError if it is not known or not here."""
    wanted = subject.trained_on
    found = sorted((home.root / "corpora").glob(f"*/{wanted}")) if wanted else []
    if not found:
        what = f"its corpus {wanted} is not under {home.root / 'corpora'}" if wanted else "it names no corpus"
        raise UserError(f"--corpus: {what}; give the directory of a finished corpus")
    return found[0]


def _restore(model: PreTrainedModel, weights: dict[str, torch.Tensor], path: Path) -> None:
    parameters = trainable(model)
    if set(weights) != set(parameters):
        raise ManifestError(f"{path}: holds the parameters of another model than its run's config.yaml describes")
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(weights[name])


def _about(model: PreTrainedModel, base_fingerprint: str | None) -> dict[str, Any]:
    config = model.experts_config
    learnt = sum(p.numel() for p in trainable(model).values())
    return {
        "base_fingerprint": base_fingerprint,
        "experts": list(config.experts),
        "top_k": config.top_k,
        "rank": config.rank,
        "trainable_parameters": learnt,
        "device": model.device.type,
    }
