"""Frozen linear maps whose products are computed in 8-bit floating point (e4m3), forwards and backwards.

Twice the arithmetic rate of bfloat16 on hardware that has it (NVIDIA from compute capability 8.9). Every row of the
input, and every row of the weight, has a scale of its own. The weight is kept twice, once for each direction, in the
layout that the product wants: together the bytes of bfloat16. What is rounded is the frozen part alone; the experts
stay in their own dtype. The input is rounded as well, so there is no exact merged form.

Legend: N tokens, I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pe_ray.errors import UserError

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0
MULTIPLE = 16
"""What the product wants both sizes of a weight to be divisible by."""
CAPABILITY = (8, 9)


class Float8Linear(nn.Module):
    """Takes the place of a frozen `nn.Linear`."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight_OI = linear.weight.detach().float()
        forth_OI, forth_O1 = _rounded(weight_OI)
        back_IO, back_I1 = _rounded(weight_OI.T)
        self.register_buffer("weight", forth_OI)
        self.register_buffer("weight_scale", forth_O1)
        self.register_buffer("transposed", back_IO)
        self.register_buffer("transposed_scale", back_I1)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] to [..., O], in the dtype of `x`."""
        flat = x.reshape(-1, self.in_features)
        out = _Product.apply(flat, self.weight, self.weight_scale, self.transposed, self.transposed_scale)
        out = out.view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias.to(out.dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_NI: Tensor, forth_OI: Tensor, forth_O1: Tensor, back_IO: Tensor, back_I1: Tensor) -> Tensor:
        ctx.save_for_backward(back_IO, back_I1)
        return _product(x_NI, forth_OI, forth_O1)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_NO: Tensor) -> tuple[Tensor | None, ...]:
        return _product(d_NO, *ctx.saved_tensors), None, None, None, None


def _product(x_NI: Tensor, weight_OI: Tensor, scale_O1: Tensor) -> Tensor:
    rounded_NI, scale_N1 = _rounded(x_NI.float())
    # row-wise scales give bfloat16 alone
    out = torch._scaled_mm(rounded_NI, weight_OI.t(), scale_a=scale_N1, scale_b=scale_O1.t(), out_dtype=torch.bfloat16)
    return out.to(x_NI.dtype)


def _rounded(value: Tensor) -> tuple[Tensor, Tensor]:
    """In e4m3, and what each row was divided by."""
    scale = value.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (value / scale).to(E4M3).contiguous(), scale


def to_fp8(model: nn.Module) -> nn.Module:
    """Replace every linear map inside the decoder layers whose sizes allow it, in place.

    Raises UserError on a GPU without such products.
    """
    device = next(model.parameters()).device
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < CAPABILITY:
        have = ".".join(map(str, torch.cuda.get_device_capability(device)))
        raise UserError(
            f"base.quantise=fp8: this GPU has compute capability {have}, and 8.9 is needed; take 8bit or none"
        )
    for layer in model.get_decoder().layers:
        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear) and not (child.in_features % MULTIPLE or child.out_features % MULTIPLE):
                    setattr(parent, name, Float8Linear(child))
    return model
