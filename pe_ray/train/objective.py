"""What a training step minimises: named terms, and how much each counts.

B rows, T tokens of a row, N = B * T, W width, E experts, L layers, V vocabulary, M learnt tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pe_ray.config import ModelConfig
from pe_ray.model import router
from pe_ray.model.loss import CHUNK, cross_entropy
from pe_ray.train.packing import IGNORE, PackedBatch


class Objective(Protocol):
    """The first socket of the loop; the first term is the one that is reported as the loss of language modelling."""

    coefficients: Mapping[str, float]
    """Weight of each term in the total; 1 where a term is not named."""
    domains: int
    """How many domains an evaluation tells apart, by `judge`; 0: an evaluation is the first term alone."""

    def terms(self, model: nn.Module, batch: PackedBatch) -> dict[str, Tensor]:
        """Scalars with their graphs: means over the micro-batch."""

    def expert_load(self, model: nn.Module, batch: PackedBatch) -> Tensor | None:
        """Slots by expert, [E], in the last forward pass; None without experts."""


@dataclass(frozen=True)
class Judged:
    """Sums over the learnt tokens of held-out batches; they add up over batches and over ranks.

    `sums`: loss, right guesses, tokens; then the loss of each domain, and then the tokens of each.
    """

    sums: Tensor
    domains: int

    def facts(self) -> dict[str, Any]:
        """Loss in nats per token, its exponential, and the share of tokens that were guessed; None without a token."""
        loss, right, tokens, *rest = self.sums.tolist()
        by_domain = [_over(a, b) for a, b in zip(rest[: self.domains], rest[self.domains :], strict=True)]
        mean = _over(loss, tokens)
        return {
            "loss": mean,
            "perplexity": None if mean is None else math.exp(min(mean, 700.0)),
            "accuracy": _over(right, tokens),
            "by_domain": by_domain,
        }


class NextToken:
    """Plain language modelling."""

    coefficients: Mapping[str, float] = {}
    domains = 0

    def terms(self, model: nn.Module, batch: PackedBatch) -> dict[str, Tensor]:
        return {"lm": language_modelling(model, batch)}

    def expert_load(self, model: nn.Module, batch: PackedBatch) -> Tensor | None:
        return None


class Experts:
    """Language modelling on the assistant's tokens; the router learns balance, domains and small logits."""

    def __init__(self, config: ModelConfig) -> None:
        self.top_k, self.domains = config.top_k, len(config.experts)
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


@torch.no_grad()
def judge(model: nn.Module, batch: PackedBatch, domains: int) -> Judged:
    """How well a batch is predicted, over all tokens and by domain; those without a domain count in the whole alone."""
    hidden_BTW = model.get_decoder()(
        input_ids=batch.input_ids_BT, position_ids=batch.position_ids_BT, use_cache=False
    ).last_hidden_state
    learnt_BT = batch.labels_BT != IGNORE
    domain_M = torch.cat([batch.domain_D, batch.domain_D.new_full((1,), -1)])[batch.document_BT[learnt_BT]]
    sums = torch.zeros(3 + 2 * domains, dtype=torch.float64, device=hidden_BTW.device)
    head = model.get_output_embeddings()
    parts = zip(hidden_BTW[learnt_BT].split(CHUNK), batch.labels_BT[learnt_BT].split(CHUNK), domain_M.split(CHUNK),
                strict=True)  # fmt: skip
    for hidden, label, domain in parts:
        logits = head(hidden).float()
        loss = F.cross_entropy(logits, label, reduction="none").double()
        member_GM = domain[None, :] == torch.arange(domains, device=domain.device)[:, None]
        right = (logits.argmax(dim=-1) == label).sum()
        sums[:3] += torch.stack([loss.sum(), right.double(), sums.new_tensor(float(len(label)))])
        sums[3:] += torch.cat([(member_GM * loss).sum(dim=1), member_GM.sum(dim=1).double()])
    return Judged(sums.cpu(), domains)


def _over(total: float, count: float) -> float | None:
    found = total / count if count else None
    return found if found is None or math.isfinite(found) else None
