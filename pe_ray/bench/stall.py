"""How long training waits for a checkpoint: the adapter of an 8B base with its optimizer's moments, written to disk."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from pe_ray.train.checkpoint import Checkpoints

PARAMETERS = 127_400_000
"""Of four rank-16 experts, attention LoRA and routers over a llama of 8B."""
TENSORS = 64


def stall_s() -> tuple[float, int]:
    """Seconds that a step waits for `save`, and the bytes that are saved."""
    torch.manual_seed(0)
    parameters = {f"p{i}": nn.Parameter(torch.randn(PARAMETERS // TENSORS)) for i in range(TENSORS)}
    optimizer = torch.optim.AdamW(parameters.values(), fused=True)
    for p in parameters.values():
        p.grad = torch.ones_like(p)
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), parents={})
        began = time.monotonic()
        path = checkpoints.save(1, parameters, optimizer, {}, None)
        stall = time.monotonic() - began
        checkpoints.wait()
        return stall, sum(f.stat().st_size for f in path.iterdir())
