"""The frozen base spread over the workers (FSDP2), for one that does not fit on each of them.

Only the decoder layers' frozen matrices are sharded: each worker keeps its part, and gathers a layer when it is
computed, forwards and backwards. They have no gradient, so nothing is scattered back. The trainable parameters stay
whole on every worker, and are summed as without sharding; hence a checkpoint is the same file whatever the layout, and
goes on in any other. Where the base fits, a copy on each is faster: a gather for every layer is saved.
"""

from __future__ import annotations

import torch
from torch import nn

from pe_ray.errors import UserError
from pe_ray.model.inject import adapter_parameters, layers


def shard(model: nn.Module) -> nn.Module:
    """Shard over the default process group, in place. Raises UserError for packed weights, which cannot be split."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if getattr(model, "is_quantized", False):
        raise UserError("train.shard_base=true: packed weights cannot be split; set base.quantise=none")
    device = next(model.parameters()).device.type
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    ours = set(adapter_parameters(model).values())
    for layer in layers(model):
        fully_shard(layer, mesh=mesh, ignored_params=ours, reshard_after_forward=True)
    # The decoder is the root that schedules the gathers. Its embedding may be the output layer's too: it stays whole.
    inside = {p for layer in layers(model) for p in layer.parameters()}
    whole = {p for p in model.parameters() if p not in inside}
    fully_shard(model.get_decoder(), mesh=mesh, ignored_params=ours | whole, reshard_after_forward=True)
    return model
