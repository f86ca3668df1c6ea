"""How a model does on each document: one pass over packed batches, the arithmetic of the training loss.

Legend: B rows, T tokens of a row, N = B x T, M learnt tokens, W width, L layers, D documents, E experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from pe_ray.model import router
from pe_ray.model.experts import LoRAExperts
from pe_ray.model.inject import expert_layers
from pe_ray.model.lora import LoRALinear
from pe_ray.train.data import Examples
from pe_ray.train.packing import IGNORE, PackedBatch, Piece, Shape, collate, fill, split

CHUNK = 2048
"""Learnt tokens whose logits exist at a time."""


@dataclass(frozen=True)
class Scores:
    """Sums over the tokens of each document; a document without a learnt token has zeros.

    `load_LDE` counts the slots that each expert was given, over all tokens of the document as in training; it and the
    entropy (nats per token, summed) are None where there is nothing to route.
    """

    loss_D: np.ndarray
    learnt_D: np.ndarray
    correct_D: np.ndarray
    tokens_D: np.ndarray
    load_LDE: np.ndarray | None
    entropy_D: np.ndarray | None


def score(model: PreTrainedModel, examples: Examples, *, context: int, pad_id: int, rows: int = 4) -> Scores:
    """Score every example under `model`; one longer than `context` tokens is cut into parts, as training does."""
    total = _Sums(len(examples), *_experts_of(model))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch, document_P in packed(examples, Shape(rows, 1, context), pad_id):
                total.add(model, batch.to(model.device), document_P)
    finally:
        model.train(was_training)
    return total.scores()


def packed(examples: Examples, shape: Shape, pad_id: int) -> Iterator[tuple[PackedBatch, np.ndarray]]:
    """Batches that hold every example once, and for the pieces of each the example that it is of."""
    pieces = (p for x in range(len(examples)) for p in split(examples, x, shape.context))
    waiting: list[Piece] = []
    while True:
        rows, waiting = fill(waiting, pieces, shape)
        rows = [row for row in rows if row]
        if not rows:
            return
        starts = np.array([p.start for row in rows for p in row])
        yield collate(examples, rows, shape.context, pad_id), np.searchsorted(examples.start_X, starts, "right") - 1


@contextmanager
def without_adapter(model: nn.Module) -> Iterator[None]:
    """The frozen base alone while the block runs: every low-rank pair counts zero."""
    scaled = [m for m in model.modules() if isinstance(m, LoRALinear | LoRAExperts)]
    were = [m.scale for m in scaled]
    try:
        for module in scaled:
            module.scale = 0.0
        yield
    finally:
        for module, scale in zip(scaled, were, strict=True):
            module.scale = scale


@contextmanager
def only_expert(model: nn.Module, expert: int) -> Iterator[None]:
    """One expert for every token while the block runs, whatever the router would have chosen."""

    def choose(module: nn.Module, args: tuple[Tensor], chosen: router.Routing) -> router.Routing:
        num_experts, slots = chosen.logits_NE.shape[1], chosen.expert_NK.shape[1]
        # the other slots stay, of distinct experts and without weight: some forms count on top_k different ones
        order = torch.arange(expert, expert + slots, device=chosen.expert_NK.device) % num_experts
        weight_NK = torch.zeros_like(chosen.weight_NK)
        weight_NK[:, 0] = 1
        return router.Routing(chosen.logits_NE, weight_NK, order.expand_as(chosen.expert_NK).contiguous())

    handles = [layer.router.register_forward_hook(choose) for layer in expert_layers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Sums:
    """What has been added up so far, in double precision and on the CPU, so that a GPU gives the same twice."""

    def __init__(self, documents: int, layers: int, experts: int, top_k: int) -> None:
        self.documents, self.top_k = documents, top_k
        self.loss, self.learnt, self.correct, self.tokens, self.entropy = np.zeros((5, documents))
        self.load = torch.zeros(documents, layers * experts, dtype=torch.float64)
        self.shape = (documents, layers, experts)

    def add(self, model: PreTrainedModel, batch: PackedBatch, document_P: np.ndarray) -> None:
        """Run one batch; `document_P` is the document of each of its pieces."""
        hidden_BTW = model.get_decoder()(
            input_ids=batch.input_ids_BT, position_ids=batch.position_ids_BT, use_cache=False
        ).last_hidden_state
        learnt_BT = batch.labels_BT != IGNORE
        document_M = document_P[batch.document_BT[learnt_BT].cpu().numpy()]
        loss_M, correct_M = _judge(model.get_output_embeddings(), hidden_BTW[learnt_BT], batch.labels_BT[learnt_BT])
        self.loss += self._by_document(document_M, loss_M)
        self.correct += self._by_document(document_M, correct_M)
        self.learnt += self._by_document(document_M, np.ones(len(document_M)))
        piece_N = batch.document_BT.reshape(-1)
        real_N = piece_N >= 0
        document_N = document_P[piece_N[real_N].cpu().numpy()]
        self.tokens += self._by_document(document_N, np.ones(len(document_N)))
        if self.shape[2] > 1:
            self._route(router.collect(model).logits_LNE[:, real_N], document_N)

    def _route(self, logits_LNE: Tensor, document_N: np.ndarray) -> None:
        log_LNE = logits_LNE.float().log_softmax(dim=-1)
        entropy_N = -(log_LNE.exp() * log_LNE).sum(dim=-1).mean(dim=0)
        self.entropy += self._by_document(document_N, entropy_N.double().cpu().numpy())
        chosen_LNE = F.one_hot(log_LNE.topk(self.top_k, dim=-1).indices, log_LNE.shape[-1]).sum(dim=2)
        rows_NX = chosen_LNE.transpose(0, 1).flatten(1).double().cpu()
        self.load.index_add_(0, torch.from_numpy(document_N), rows_NX)

    def _by_document(self, document_N: np.ndarray, value_N: np.ndarray) -> np.ndarray:
        return np.bincount(document_N, weights=value_N, minlength=self.documents)

    def scores(self) -> Scores:
        """The sums so far."""
        routed = self.shape[2] > 1
        load_LDE = self.load.view(self.shape).transpose(0, 1).numpy() if routed else None
        entropy_D = self.entropy if routed else None
        return Scores(self.loss, self.learnt, self.correct, self.tokens, load_LDE, entropy_D)


def _judge(head: nn.Module, hidden_MW: Tensor, label_M: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Loss of every learnt token, and whether the likeliest token was the right one."""
    loss, correct = [np.zeros(0)], [np.zeros(0)]
    for hidden, label in zip(hidden_MW.split(CHUNK), label_M.split(CHUNK), strict=True):
        logits = head(hidden).float()
        loss.append(F.cross_entropy(logits, label, reduction="none").double().cpu().numpy())
        correct.append((logits.argmax(dim=-1) == label).double().cpu().numpy())
    return np.concatenate(loss), np.concatenate(correct)


def _experts_of(model: nn.Module) -> tuple[int, int, int]:
    """Layers with experts, experts of each, and how many answer for a token; a plain base has none."""
    config = getattr(model, "experts_config", None)
    if config is None:
        return 0, 0, 0
    return sum(1 for _ in expert_layers(model)), len(config.experts), config.top_k
