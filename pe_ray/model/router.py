"""Which experts answer for a token, and the terms that teach it.

Legend: N tokens (batch x length), H model width, E experts, K experts per token, L layers, D documents.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Routing:
    """The choice for every token: weights that sum to one over the chosen experts."""

    logits_NE: Tensor
    weight_NK: Tensor
    expert_NK: Tensor


@dataclass(frozen=True)
class RoutingState:
    """Router logits of the last forward pass, a row per token in the order of the flattened batch."""

    logits_LNE: Tensor


@dataclass
class Tape:
    """Where the routers of one model write while a forward pass is open.

    It opens when the backbone is called and closes when it returns, so that the recomputation of a checkpointed layer
    in the backward pass writes nothing; a call with a key-value cache (`generate`) does not open it.
    """

    open: bool = False
    logits: dict[int, Tensor] = field(default_factory=dict)

    def write(self, layer: int, logits_NE: Tensor) -> None:
        if self.open:
            self.logits[layer] = logits_NE

    def __deepcopy__(self, memo: dict) -> Tape:
        return Tape()  # logits inside a graph cannot be copied, and the copy has had no forward pass


class Router(nn.Module):
    """Top-k routing with the arithmetic of the export target.

    Mixtral and Qwen3-MoE both take logits in the dtype of the hidden state, softmax in float32, top-k, and
    renormalise; neither has a bias. `cast_weights`: Qwen3-MoE gives the weights back in the logits' dtype, Mixtral in
    float32.
    """

    def __init__(
        self,
        width: int,
        num_experts: int,
        top_k: int,
        *,
        cast_weights: bool,
        std: float = 0.02,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.cast_weights = cast_weights
        # A zero router would break all its ties towards the first experts, and the others would learn nothing.
        self.weight = nn.Parameter(torch.empty(num_experts, width).normal_(0, std, generator=generator))
        self.weight.requires_grad_(num_experts > 1)  # one expert always weighs 1: nothing to learn

    def forward(self, hidden_NH: Tensor) -> Routing:
        """Choose `top_k` experts per token."""
        logits_NE = F.linear(hidden_NH, self.weight.to(hidden_NH.dtype))
        weight_NK, expert_NK = _probability(logits_NE).topk(self.top_k, dim=-1)
        weight_NK = weight_NK / weight_NK.sum(dim=-1, keepdim=True)
        return Routing(logits_NE, weight_NK.to(logits_NE.dtype) if self.cast_weights else weight_NK, expert_NK)


def collect(model: nn.Module) -> RoutingState:
    """The routing of the last forward pass that was not a step of `generate`, with its graph.

    Raises RuntimeError where there was none.
    """
    tape: Tape = getattr(model, "base_model", model).routing_tape
    if not tape.logits:
        raise RuntimeError("no routing to collect: call the model (without a key-value cache) first")
    return RoutingState(torch.stack([tape.logits[layer] for layer in sorted(tape.logits)]))


def balance_loss(logits_LNE: Tensor, top_k: int, mask_N: Tensor | None = None) -> Tensor:
    """Load-balance term of Switch Transformer (arXiv 2101.03961, equations 4-6); `top_k` when all are used alike.

    Counts and probabilities are means over the tokens of all layers, as in transformers' `load_balancing_loss_func`.
    """
    probability_LNE = _probability(logits_LNE)
    mask_N = _mask(logits_LNE, mask_N)
    num_rows = mask_N.sum().clamp(min=1) * logits_LNE.shape[0]
    probability_E = (probability_LNE * mask_N[:, None]).sum(dim=(0, 1)) / num_rows
    share_E = expert_load(logits_LNE, top_k, mask_N) / num_rows
    return logits_LNE.shape[-1] * (share_E * probability_E).sum()


def z_loss(logits_LNE: Tensor, mask_N: Tensor | None = None) -> Tensor:
    """Mean squared log-sum-exp of the logits (ST-MoE, arXiv 2202.08906): keeps them small."""
    mask_N = _mask(logits_LNE, mask_N)
    square_LN = _wide(logits_LNE).logsumexp(dim=-1).square()
    return (square_LN * mask_N).sum() / (mask_N.sum().clamp(min=1) * logits_LNE.shape[0])


def domain_loss(logits_LNE: Tensor, document_N: Tensor, domain_D: Tensor) -> Tensor:
    """Cross-entropy between a document's mean router probability, layer by layer, and the expert of its domain.

    `document_N` holds the row of each token's document in `domain_D`, -1 for padding; `domain_D` the index of the
    expert, -1 where the domain has none. Zero (with a graph) when no document counts.

    A document counts by its tokens, as it does in the balance of domains: counted by heads, a domain of short documents
    would draw the router to its expert for everybody's tokens.
    """
    mean_LDE, num_tokens_D = _document_means(_probability(logits_LNE), document_N, len(domain_D))
    counts_D = num_tokens_D * (domain_D >= 0)
    wanted_LD1 = domain_D.clamp(min=0).expand(logits_LNE.shape[0], -1)[..., None]
    log_LD = mean_LDE.gather(-1, wanted_LD1).squeeze(-1).clamp(min=1e-9).log()
    return -(log_LD * counts_D).sum() / (counts_D.sum().clamp(min=1) * logits_LNE.shape[0])


@torch.no_grad()
def expert_load(logits_LNE: Tensor, top_k: int, mask_N: Tensor | None = None) -> Tensor:
    """Slots that each expert was given, [E] float, over all layers and the tokens of the mask; sums over batches."""
    expert_LNK = _probability(logits_LNE).topk(top_k, dim=-1).indices
    chosen_LNE = F.one_hot(expert_LNK, logits_LNE.shape[-1]).sum(dim=2)
    return (chosen_LNE * _mask(logits_LNE, mask_N)[:, None]).sum(dim=(0, 1))


def expert_share(logits_LNE: Tensor, top_k: int, mask_N: Tensor | None = None) -> list[float]:
    """Share of the routed slots by expert; sums to 1."""
    load_E = expert_load(logits_LNE, top_k, mask_N)
    return (load_E / load_E.sum().clamp(min=1)).tolist()


@torch.no_grad()
def domain_use(logits_LNE: Tensor, document_N: Tensor, domain_D: Tensor, num_domains: int) -> Tensor:
    """Mean router probability by domain, [num_domains, E]: a mean over the documents of each; zeros for none."""
    mean_LDE, num_tokens_D = _document_means(_probability(logits_LNE), document_N, len(domain_D))
    member = _rows_equal(domain_D, num_domains) & (num_tokens_D > 0)
    use = member.to(mean_LDE.dtype) @ mean_LDE.mean(dim=0)
    return use / member.sum(dim=1).clamp(min=1)[:, None]


def _document_means(value_LNE: Tensor, document_N: Tensor, num_documents: int) -> tuple[Tensor, Tensor]:
    """Means over the tokens of each document, [L, D, E], and its number of tokens, [D].

    A product with a membership matrix rather than index_add, which is not deterministic on a GPU.
    """
    member_DN = _rows_equal(document_N, num_documents)
    num_tokens_D = member_DN.sum(dim=1)
    total_LDE = member_DN.to(value_LNE.dtype) @ value_LNE
    return total_LDE / num_tokens_D.clamp(min=1)[:, None], num_tokens_D


def _rows_equal(value: Tensor, num_rows: int) -> Tensor:
    """[num_rows, len(value)]: whether `value` is the row's number; negative ones are nobody's."""
    return value.reshape(1, -1) == torch.arange(num_rows, device=value.device)[:, None]


def _mask(logits_LNE: Tensor, mask_N: Tensor | None) -> Tensor:
    if mask_N is None:
        return _wide(logits_LNE).new_ones(logits_LNE.shape[1])
    return mask_N.reshape(-1).to(_wide(logits_LNE).dtype)


def _probability(logits: Tensor) -> Tensor:
    return _wide(logits).softmax(dim=-1)


def _wide(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
