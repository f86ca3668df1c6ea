"""An adapter on disk: `adapter.safetensors`, `adapter.json` and the tokenizer. The caller adds the manifest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pe_ray.config import ModelConfig
from pe_ray.errors import AdapterNotFound, BaseModelError, ManifestError
from pe_ray.model.base import fingerprint, load_model, load_tokenizer, resolve
from pe_ray.model.inject import adapter_parameters, inject
from pe_ray.store.manifest import write_json

WEIGHTS, DESCRIPTION, FORMAT = "adapter.safetensors", "adapter.json", 1


def base_reference(
    name: str,
    path: str | Path,
    *,
    revision: str | None = None,
    quantise: str = "none",
    rope: dict[str, Any] | None = None,
) -> dict:
    """How an adapter names its base: as the user wrote it, where it lies, and what it holds.

    `path` is the directory; for a hub id the snapshot that `resolve` gave.
    """
    return {
        "name": name,
        "path": str(Path(path).absolute()),
        "revision": revision,
        "quantise": quantise,
        "rope": rope,
        "fingerprint": fingerprint(path),
    }


def save_adapter(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, out: Path, base_ref: dict[str, Any]
) -> None:
    """Write what `inject` added, in the dtype it was trained in, with the reference of its base and the tokenizer.

    `base_ref` comes from `base_reference`. Where the base lies under the same home as `out`, its path is kept
    relative, so that a home can be moved.
    """
    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().cpu().contiguous() for name, p in adapter_parameters(model).items()}
    save_file(tensors, out / WEIGHTS, metadata={"format": "pt"})
    tokenizer.save_pretrained(out)
    description = {
        "format": FORMAT,
        "model": model.experts_config.model_dump(mode="json"),
        "model_type": model.config.model_type,
        "dtype": str(model.dtype).removeprefix("torch."),
        "base": base_ref | {"path": _portable(base_ref.get("path"), out)},
    }
    write_json(out / DESCRIPTION, description)


def load(
    adapter_dir: str | Path, *, device: str = "cpu", dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base with this adapter in it, in evaluation mode, and the adapter's tokenizer.

    `dtype` None: that of the frozen weights when the adapter was saved. Raises AdapterNotFound if there is none,
    BaseModelError if its base is absent or has changed, ManifestError if its files do not fit each other.
    """
    adapter_dir = Path(adapter_dir)
    description = read(adapter_dir)
    base = description["base"]
    path = find_base(base, adapter_dir)
    if base.get("fingerprint") and fingerprint(path) != base["fingerprint"]:
        raise BaseModelError(f"{adapter_dir}: the base at {path} is not the one it was trained on; restore that one")
    model = load_model(
        path,
        quantise=base.get("quantise", "none"),
        dtype=dtype or getattr(torch, description["dtype"]),
        device=device,
        rope=base.get("rope"),
    )
    inject(model, ModelConfig(**description["model"]), seed=0)
    load_weights(model, tensors_of(adapter_dir), adapter_dir)
    return model.eval(), load_tokenizer(adapter_dir)


def load_weights(model: nn.Module, tensors: dict[str, torch.Tensor], origin: str | Path) -> None:
    """Copy an adapter's tensors into an injected model; raises ManifestError unless names and shapes all fit."""
    parameters = adapter_parameters(model)
    differing = sorted(set(parameters) ^ set(tensors)) or sorted(
        n for n, p in parameters.items() if p.shape != tensors[n].shape
    )
    if differing:
        raise ManifestError(f"{origin}: {len(differing)} tensors do not fit its configuration, first {differing[0]}")
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(tensors[name])


def find_base(base: dict[str, Any], adapter_dir: Path) -> Path:
    """Where the base of an adapter lies: beside it in its home, at its absolute path, or on the hub by name."""
    path = Path(os.path.normpath(adapter_dir.absolute() / base["path"])) if base.get("path") else None
    if path is not None and path.is_dir():
        return path
    try:
        return resolve(base["name"], base.get("revision"))
    except BaseModelError:
        raise BaseModelError(f"{adapter_dir}: its base {base['name']} is not at {path}; put it back there") from None


def read(adapter_dir: Path) -> dict[str, Any]:
    """What an adapter says of itself. Raises AdapterNotFound if there is none, ManifestError if it is damaged."""
    path = adapter_dir / DESCRIPTION
    if not path.is_file():
        raise AdapterNotFound(f"no adapter at {adapter_dir} ({DESCRIPTION} is missing)")
    try:
        description = json.loads(path.read_text())
    except json.JSONDecodeError:
        raise ManifestError(f"{path}: is damaged; export the adapter again") from None
    if description.get("format", 0) > FORMAT:
        raise ManifestError(f"{path}: format {description['format']} is newer than this pe_ray understands ({FORMAT})")
    return description


def tensors_of(adapter_dir: Path) -> dict[str, torch.Tensor]:
    """The weights of an adapter by name. Raises ManifestError if they are missing or damaged."""
    path = adapter_dir / WEIGHTS
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        raise ManifestError(f"{path}: is missing or damaged; export the adapter again") from None


def _portable(path: str | None, out: Path) -> str | None:
    """The path of a base as seen from `out` where both lie under one home (`<home>/bases/<fingerprint>`)."""
    if path is None or Path(path).parent.name != "bases":
        return path
    home = Path(path).parent.parent
    return os.path.relpath(path, out.absolute()) if out.absolute().is_relative_to(home) else path
