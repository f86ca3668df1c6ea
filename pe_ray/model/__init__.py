"""Frozen base, LoRA experts, router and exact export.

    from pe_ray import model
    network, tokenizer = model.load("adapters/therapist/1")

Importing this package loads neither torch nor transformers; calling it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load(
    adapter_dir: str | Path, *, device: str = "cpu", dtype: torch.dtype | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An adapter on its base, ready for `.generate`, and its tokenizer; see `pe_ray.model.adapter.load`."""
    from pe_ray.model.adapter import load as load_adapter

    return load_adapter(adapter_dir, device=device, dtype=dtype)
