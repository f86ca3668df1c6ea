"""Cross-entropy whose logits are never materialised whole.

The output layer is a large part of a small model's arithmetic and most of a large model's memory: the logits of 8,192
tokens over 128,000 words take 4 GB in float32. Legend: B rows, T tokens of a row, W width, M learnt tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CHUNK = 2048
"""Learnt tokens whose logits exist at a time."""


def cross_entropy(head: nn.Module, hidden_MW: Tensor, label_M: Tensor) -> Tensor:
    """Mean cross-entropy of the labels under `head(hidden)`; chunks beyond the first are computed again backwards."""
    if len(label_M) <= CHUNK:
        return _sum(head, hidden_MW, label_M) / len(label_M)
    parts = zip(hidden_MW.split(CHUNK), label_M.split(CHUNK), strict=True)
    losses = [checkpoint(_sum, head, hidden, label, use_reentrant=False) for hidden, label in parts]
    return torch.stack(losses).sum() / len(label_M)


def next_token(model: nn.Module, ids_BT: Tensor) -> Tensor:
    """Mean loss of predicting each token of each row from those before it."""
    hidden_BTW = model.get_decoder()(input_ids=ids_BT, use_cache=False).last_hidden_state
    return cross_entropy(model.get_output_embeddings(), hidden_BTW[:, :-1].flatten(0, 1), ids_BT[:, 1:].flatten())


def _sum(head: nn.Module, hidden_MW: Tensor, label_M: Tensor) -> Tensor:
    return F.cross_entropy(head(hidden_MW).float(), label_M, reduction="sum")
