"""What the ranks of a run say to each other: two verbs, so that the loop needs no cluster.

The frozen base is replicated and only the trainable parameters are summed, which is why there is no DDP wrapper: a
step's gradient goes through one all-reduce of one flat buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Collective(Protocol):
    """The ranks 0..size-1 of one run; every rank calls the same verbs in the same order."""

    rank: int
    size: int

    def all_reduce_(self, tensor: Tensor) -> Tensor:
        """Sum in place over the ranks; every rank holds the same bits afterwards."""

    def broadcast(self, values: Sequence[float]) -> list[float]:
        """Rank 0's values, on every rank."""


class Alone:
    """A run of one process."""

    rank, size = 0, 1

    def all_reduce_(self, tensor: Tensor) -> Tensor:
        return tensor

    def broadcast(self, values: Sequence[float]) -> list[float]:
        return list(values)


class Distributed:
    """The ranks of torch.distributed's default group (gloo on CPU, nccl on GPU)."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.rank, self.size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        self.device = device

    def all_reduce_(self, tensor: Tensor) -> Tensor:
        there = tensor.to(self.device)
        torch.distributed.all_reduce(there)
        return tensor if there is tensor else tensor.copy_(there)

    def broadcast(self, values: Sequence[float]) -> list[float]:
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(tensor, src=0)
        return tensor.tolist()


def gather(collective: Collective, value: int) -> list[int]:
    """One whole number from every rank, in their order."""
    slots = torch.zeros(collective.size, dtype=torch.float64)
    slots[collective.rank] = value
    return [int(v) for v in collective.all_reduce_(slots).tolist()]


def sum_gradients_(parameters: Sequence[torch.nn.Parameter], collective: Collective) -> None:
    """Add up the gradients of all ranks; a parameter that no token reached has a gradient of zeros.

    Zeros instead of None, so that AdamW treats it alike whatever the number of ranks.
    """
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    if collective.size == 1:
        return
    flat = torch.cat([p.grad.reshape(-1).float() for p in parameters])
    collective.all_reduce_(flat)
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad.copy_(part.view_as(p))
