"""Dropout whose factors are made from 16 random bits each.

On a CPU torch draws a whole random number for every element, one after the other, which was a fifth of a training step.
Sixteen bits are enough to drop a share that is right to 1 part in 130,000 of the whole; what is kept is scaled by the
share that is really dropped, so that the mean stays right. A GPU draws in parallel, and keeps torch's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 1 << 16


def factor_like(x: Tensor, p: float) -> Tensor:
    """Zeros with probability `p`, else 1 / (1 - p): what dropout multiplies `x` by."""
    if x.device.type != "cpu":
        return F.dropout(torch.ones_like(x), p)
    dropped = round(p * STEPS)
    if dropped == STEPS:  # p so near to 1 that nothing would be left to scale
        return F.dropout(torch.ones_like(x), p)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.int16)[: x.numel()] >= dropped - STEPS // 2
    return kept.to(x.dtype).mul_(STEPS / (STEPS - dropped)).view(x.shape)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """`x` with a share `p` of its elements dropped while training."""
    if not training or p == 0:
        return x
    return F.dropout(x, p) if x.device.type != "cpu" else x * factor_like(x, p)
