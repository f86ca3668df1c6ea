"""What a training step minimises: named terms, and how much each counts.

B rows, T tokens of a row, N = B * T, W width, E experts, L layers, V vocabulary, M learnt tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from pe_ray.config import ModelConfig
from pe_ray.model import router
from pe_ray.model.loss import cross_entropy
from pe_ray.train.packing import IGNORE, PackedBatch


class Objective(Protocol):
    """The first socket of the loop; the first term is the one that is reported as the loss of language modelling."""

    coefficients: Mapping[str, float]
    """Weight of each term in the total; 1 where a term is not named."""

    def terms(self, model: nn.Module, batch: PackedBatch) -> dict[str, Tensor]:
        """Scalars with their graphs: means over the micro-batch."""

    def expert_load(self, model: nn.Module, batch: PackedBatch) -> Tensor | None:
        """Slots by expert, [E], in the last forward pass; None without experts."""


class NextToken:
    """Plain language modelling."""

    coefficients: Mapping[str, float] = {}

    def terms(self, model: nn.Module, batch: PackedBatch) -> dict[str, Tensor]:
        return {"lm": language_modelling(model, batch)}

    def expert_load(self, model: nn.Module, batch: PackedBatch) -> Tensor | None:
        return None


class Experts:
    """Language modelling on the assistant's tokens; the router learns balance, domains and small logits."""

    def __init__(self, config: ModelConfig) -> None:
        self.top_k = config.top_k
        wanted = {"lm": 1.0, "balance": config.balance_coef, "domain": config.domain_coef, "z": config.z_coef}
        self.coefficients: Mapping[str, float] = {"lm": 1.0} if len(config.experts) == 1 else wanted

    def terms(self, model: nn.Module, batch: PackedBatch) -> dict[str, Tensor]:
        loss = language_modelling(model, batch)
        if "balance" not in self.coefficients:  # one expert: there is nothing to route
            return {"lm": loss}
        logits_LNE = router.collect(model).logits_LNE
        document_N = batch.document_BT.reshape(-1)
        real_N = document_N >= 0
        return {
            "lm": loss,
            "balance": router.balance_loss(logits_LNE, self.top_k, real_N),
            "domain": router.domain_loss(logits_LNE, document_N, batch.domain_D),
            "z": router.z_loss(logits_LNE, real_N),
        }

    def expert_load(self, model: nn.Module, batch: PackedBatch) -> Tensor | None:
        real_N = batch.document_BT.reshape(-1) >= 0
        return router.expert_load(router.collect(model).logits_LNE, self.top_k, real_N)


def total(terms: Mapping[str, Tensor], coefficients: Mapping[str, float]) -> Tensor:
    """The sum of the terms, each times its coefficient."""
    return torch.stack([coefficients.get(name, 1.0) * value for name, value in terms.items()]).sum()


def language_modelling(model: nn.Module, batch: PackedBatch) -> Tensor:
    """Mean cross-entropy over the learnt tokens of a batch; zero, with a graph, where there is none.

    The output layer sees the learnt positions only, and in chunks (model/loss.py). Position ids that start anew keep
    the documents of a row apart in every attention implementation of transformers (which looks at them only without a
    mask and without a cache).
    """
    hidden_BTW = model.get_decoder()(
        input_ids=batch.input_ids_BT, position_ids=batch.position_ids_BT, use_cache=False
    ).last_hidden_state
    learnt_BT = batch.labels_BT != IGNORE
    hidden_MW, label_M = hidden_BTW[learnt_BT], batch.labels_BT[learnt_BT]
    if not len(label_M):
        return hidden_BTW.sum() * 0.0
    return cross_entropy(model.get_output_embeddings(), hidden_MW, label_M)
