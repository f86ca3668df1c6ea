"""Experts that were really trained: forty steps of the loop, on text, over small random bases of every supported kind.

trained("qwen3").model
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pe_ray.model.base import load_base
from pe_ray.model.inject import inject
from pe_ray.record import DOMAINS, Example
from pe_ray.train.data import Examples
from pe_ray.train.loop import fit
from pe_ray.train.objective import Experts
from pe_ray.train.packing import Shape, TrainBatches
from pe_ray.train.profiles import Profile
from pe_ray.train.window import Window
from tests.model import bases
from tests.train.conftest import make_records
from tests.train.toy import toy_settings

MAKERS = {
    "llama": bases.tiny_llama,
    "llama tied": lambda out: bases.tiny_llama(out, tie_word_embeddings=True),
    "mistral": bases.tiny_mistral,
    "qwen3": bases.tiny_qwen3,
    "qwen3 tied": lambda out: bases.tiny_qwen3(out, tie_word_embeddings=True),
    "qwen3 biased": lambda out: bases.tiny_qwen3(out, attention_bias=True),
}
SHAPE = Shape(micro_batch=2, accumulation=1, context=192)
STEPS = 40


@dataclass(frozen=True)
class Trained:
    """The model in evaluation mode, its tokenizer, the loss of every step, and a batch of the text [B, T]."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    losses: list[float]
    text_BT: torch.Tensor


@cache
def trained(name: str) -> Trained:
    """Four experts over the base `name`, trained once a process, with dropout and all auxiliary terms; do not change.

    The text is the examples' own: on it the experts have moved furthest from the base.
    """
    with tempfile.TemporaryDirectory() as directory:
        model, tokenizer = load_base(MAKERS[name](Path(directory) / "base"))
    config = bases.experts_config(dropout=0.1)
    inject(model, config, seed=1)
    examples, lines = text_examples(tokenizer), []
    fit(model, TrainBatches(examples, SHAPE, 7, pad_id=tokenizer.pad_token_id), Experts(config),
        profile=Profile("text", SHAPE.micro_batch, SHAPE.accumulation, SHAPE.context), window=Window(600.0),
        settings=toy_settings(steps=STEPS), on_step=lines.append)  # fmt: skip
    text = [examples.token_T[a : a + 96] for a in examples.start_X[:4]]
    return Trained(
        model.eval(), tokenizer, [line["terms"]["lm"] for line in lines], torch.from_numpy(np.stack(text)).long()
    )


def text_examples(tokenizer: PreTrainedTokenizerBase, count: int = 16) -> Examples:
    """Short dialogues under the tokenizer's template; the assistant's tokens are learnt."""
    found = []
    for record in make_records(count):
        messages = [{"role": m.role, "content": m.text} for m in record.messages]
        made = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        found.append(Example(tuple(made["input_ids"]), tuple(made["assistant_masks"]), record.domain, record.id))
    return Examples.of(found, DOMAINS)
