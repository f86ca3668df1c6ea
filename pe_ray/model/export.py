"""Write a model with experts as a stock Mixtral or Qwen3-MoE checkpoint that computes the same function, and prove it.

`to_moe` goes layer by layer, merges in float64 and rounds once, so memory holds one layer and one shard beside the
model. `probe` loads the result with plain transformers and compares.

Legend: B batch, T length, N = B x T, V vocabulary, L layers, E experts, K experts per token.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from pe_ray.errors import UserError
from pe_ray.model.base import check_config
from pe_ray.model.experts import NAMES, LoRAExperts
from pe_ray.model.inject import expert_layers, layers
from pe_ray.model.lora import LoRALinear
from pe_ray.model.router import collect
from pe_ray.model.shards import Shards
from pe_ray.model.targets import Target, target_of

NEAR_TIE = 1e-5


@dataclass(frozen=True)
class MoEInfo:
    """What was written.

    `rounding_loss`: the largest ratio, over merged tensors, of what rounding took away to what was merged in (norms):
    1e-4 or less in float32 after a little training, near 1 where a bfloat16 file cannot hold the deltas. `untouched`:
    experts that learnt nothing in some layer, as `layer 3: psychology`.
    """

    architecture: str
    parameters: int
    rounding_loss: float = 0.0
    untouched: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """How far the merged model is from the one it came from.

    `max_logit_diff`: max |difference| / max(1, max |logit|) in float32, over the positions that are no near tie
    (over all where every one is).
    `near_ties`: positions at which some layer's K-th and next router probability differ by less than 1e-5, so that
    rounding alone may choose another expert. `greedy_equal`: both continue the probe batch with the same tokens.
    """

    max_logit_diff: float
    near_ties: int
    greedy_equal: bool


def to_moe(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    *,
    dtype: torch.dtype | str = torch.float32,
    shard_bytes: int = 4 << 30,
) -> MoEInfo:
    """Write the mixture of experts to `out`: weights with their index, configuration, tokenizer, generation settings.

    Refuses (UserError) an expert that learnt nothing in any layer, and deltas that `dtype` cannot hold; asserts that
    every merged expert differs from the base and from the others. `probe` is the caller's next step.
    """
    check_config(model.config)
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    untouched = _untouched(model)
    target = target_of(model.config)
    out.mkdir(parents=True, exist_ok=True)
    shards, rounding = Shards(out, shard_bytes), Rounding(dtype)
    for name, tensor in _tensors(model, target, rounding):
        shards.add(name, tensor)
    shards.close()
    config = target.config(model.config, model.experts_config)
    config.architectures, config.dtype = [target.architecture], dtype
    config.save_pretrained(out)
    tokenizer.save_pretrained(out)
    model.generation_config.save_pretrained(out)
    return MoEInfo(target.architecture, shards.parameters, rounding.loss, untouched)


def probe(model: PreTrainedModel, merged_dir: Path, input_ids: Tensor, *, new_tokens: int = 16) -> Probe:
    """Load `merged_dir` with plain transformers in float32 and compare it on `input_ids` [B, T], without padding."""
    merged = AutoModelForCausalLM.from_pretrained(merged_dir, dtype=torch.float32, local_files_only=True)
    return compare(model, merged, input_ids, new_tokens=new_tokens)


@torch.no_grad()
def compare(model: PreTrainedModel, merged: PreTrainedModel, input_ids: Tensor, *, new_tokens: int = 16) -> Probe:
    """How far a merged model that is loaded already, in float32, is from the one with experts."""
    ours = _in_float32(model)
    training, cfg = model.training, model.experts_config
    merged = merged.to(ours.device).eval()
    ours.eval()
    try:
        input_ids = input_ids.to(ours.device)
        logits_NV = ours(input_ids).logits.flatten(0, 1).float()
        tie_N = near_ties(collect(ours).logits_LNE, cfg.top_k)
        gap_N = (merged(input_ids).logits.flatten(0, 1).float() - logits_NV).abs().amax(dim=-1)
        scale = max(1.0, logits_NV.abs().max().item())
        largest = (gap_N if tie_N.all() else gap_N[~tie_N]).max().item() / scale
        same = torch.equal(_greedy(ours, input_ids, new_tokens), _greedy(merged, input_ids, new_tokens))
    finally:
        model.train(training)
    return Probe(largest, int(tie_N.sum()), same)


def near_ties(logits_LNE: Tensor, top_k: int) -> Tensor:
    """[N] bool: whether rounding alone could change the choice of experts in some layer."""
    probability = logits_LNE.float().softmax(dim=-1).sort(dim=-1, descending=True).values
    if top_k == probability.shape[-1]:
        return torch.zeros(probability.shape[1], dtype=torch.bool, device=probability.device)
    return (probability[..., top_k - 1] - probability[..., top_k] < NEAR_TIE).any(dim=0)


@dataclass
class Rounding:
    """Merging in float64 and rounding once; `loss` is the largest share of a delta that rounding took away."""

    dtype: torch.dtype
    loss: float = 0.0

    def merge(self, frozen: Tensor, delta: Tensor) -> Tensor:
        """Base plus delta, in `dtype`."""
        exact = frozen.double() + delta
        rounded = exact.to(self.dtype)
        size = delta.norm()
        if size > 0:
            self.loss = max(self.loss, ((rounded.double() - exact).norm() / size).item())
        return rounded


def _tensors(model: PreTrainedModel, target: Target, rounding: Rounding) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the merged model, one layer at a time."""
    backbone, dtype = model.base_model, rounding.dtype
    yield "model.embed_tokens.weight", backbone.embed_tokens.weight.detach().to(dtype)
    for index, layer in enumerate(layers(model)):
        yield from _attention(layer, f"model.layers.{index}", rounding)
        yield from _experts(layer.mlp, index, target, model.experts_config.experts, rounding)
    yield "model.norm.weight", backbone.norm.weight.detach().to(dtype)
    if not model.config.tie_word_embeddings:
        yield "lm_head.weight", model.lm_head.weight.detach().to(dtype)


def _attention(layer: nn.Module, prefix: str, rounding: Rounding) -> Iterator[tuple[str, Tensor]]:
    """Attention with its LoRA merged, and the norms, under the names that they have."""
    loras = {name: m for name, m in layer.named_modules() if isinstance(m, LoRALinear)}
    for name, lora in loras.items():
        yield f"{prefix}.{name}.weight", rounding.merge(dense_weight(lora.base), lora.delta())
        if lora.base.bias is not None:
            yield f"{prefix}.{name}.bias", lora.base.bias.detach().to(rounding.dtype)
    for name, p in layer.named_parameters():
        if not name.startswith(("mlp.", *(f"{lora}." for lora in loras))):
            yield f"{prefix}.{name}", p.detach().to(rounding.dtype)


def _experts(
    mlp: LoRAExperts, index: int, target: Target, names: tuple[str, ...], rounding: Rounding
) -> Iterator[tuple[str, Tensor]]:
    """The router and each expert's three matrices; a delta that did not arrive is an error here."""
    yield target.router_name(index), mlp.router.weight.detach().to(rounding.dtype)
    for matrix in NAMES:
        frozen = dense_weight(getattr(mlp.base, f"{matrix}_proj"))
        deltas = [mlp.delta(matrix, e) for e in range(mlp.num_experts)]
        merged = [rounding.merge(frozen, delta) for delta in deltas]
        touched = [e for e, delta in enumerate(deltas) if delta.any()]
        for e in touched:
            if torch.equal(merged[e], frozen.to(rounding.dtype)):
                raise UserError(
                    f"export.dtype={str(rounding.dtype).removeprefix('torch.')}: what expert {names[e]} learnt in "
                    f"layer {index} ({matrix}) is lost in rounding; take float32 or train longer"
                )
        for a, b in combinations(touched, 2):
            assert not torch.equal(merged[a], merged[b]), f"layer {index} {matrix}: {names[a]} equals {names[b]}"
        for e in range(mlp.num_experts):
            yield target.expert_name(index, e, matrix), merged[e]


def dense_weight(linear: nn.Module) -> Tensor:
    """The weight that a frozen linear map computes with, unpacked where bitsandbytes keeps it in 4 bits.

    Raises UserError for 8 bits and for fp8: those products round their input as well, which no weight can express.
    """
    weight = linear.weight
    if getattr(weight, "quant_state", None) is not None:
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(weight.data, weight.quant_state).detach()
    if weight.dtype in (torch.int8, torch.float8_e4m3fn):
        kind = "8bit" if weight.dtype == torch.int8 else "fp8"
        raise UserError(f"base.quantise={kind}: has no exact merged form; serve the adapter, or train on none")
    return weight.detach()


def _untouched(model: PreTrainedModel) -> tuple[str, ...]:
    """Where an expert learnt nothing; refuses one that learnt nothing anywhere: it would be a copy of the base."""
    names = model.experts_config.experts
    missing = [(mlp.layer, e) for mlp in expert_layers(model) for e in range(mlp.num_experts) if not mlp.has_learnt(e)]
    for e, name in enumerate(names):
        if sum(expert == e for _, expert in missing) == len(layers(model)):
            raise UserError(
                f"expert {name} has learnt nothing in any layer, so that it would be a copy of the base; train it "
                "(more steps, a larger model.balance_coef or model.domain_coef) before the export"
            )
    return tuple(f"layer {layer}: {names[e]}" for layer, e in missing)


def _in_float32(model: PreTrainedModel) -> PreTrainedModel:
    """The model, or a wide copy of it; packed weights stay as they are."""
    wide = model.dtype == torch.float32 or getattr(model, "is_quantized", False)
    return model if wide else copy.deepcopy(model).float()


def _greedy(model: PreTrainedModel, input_ids: Tensor, new_tokens: int) -> Tensor:
    pad = model.generation_config.pad_token_id or 0
    return model.generate(
        input_ids,
        attention_mask=torch.ones_like(input_ids),
        max_new_tokens=new_tokens,
        do_sample=False,
        num_beams=1,
        pad_token_id=pad,
    )
