"""A frozen linear map with a low-rank one beside it.

Legend: I inputs, O outputs, R rank; `...` any leading dimensions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pe_ray.model.dropout import dropout


class LoRALinear(nn.Module):
    """`base(x) + scale * B A dropout(x)` (Hu et al. 2021, arXiv 2106.09685); A is random and B zero at first.

    `base` is used as a module, so that a quantised one works too. A and B keep their own dtype (float32 while
    training) and are cast to that of the input.
    """

    def __init__(
        self, base: nn.Module, *, rank: int, alpha: float, dropout: float, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.dropout = dropout
        self.A = low_rank_in(rank, base.in_features, generator)
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """`x` [..., I] to [..., O]."""
        low = F.linear(dropout(x, self.dropout, self.training), self.A.to(x.dtype))
        out = self.base(x)
        delta = torch.addmm(out.flatten(0, -2), low.flatten(0, -2) * self.scale, self.B.to(x.dtype).T)
        return delta.view_as(out)

    def delta(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """What the pair adds to the base's weight, [O, I], in `dtype`."""
        return self.scale * self.B.detach().to(dtype) @ self.A.detach().to(dtype)

    def extra_repr(self) -> str:
        return f"rank={self.A.shape[0]}, scale={self.scale:g}, dropout={self.dropout:g}"


def low_rank_in(rows: int, inputs: int, generator: torch.Generator | None) -> nn.Parameter:
    """The A of one pair, or of several stacked: kaiming-uniform with a = sqrt 5, as PEFT draws it."""
    return nn.Parameter(nn.init.kaiming_uniform_(torch.empty(rows, inputs), a=math.sqrt(5), generator=generator))
