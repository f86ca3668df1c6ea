"""Small random bases for tests of any room: a directory as transformers writes it, made in a moment.

path = tiny_llama(tmp_path / "base", tie_word_embeddings=True)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from pe_ray.config import ModelConfig
from pe_ray.model.inject import adapter_parameters, inject

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}\n"
    "{% else %}{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

SHAPE = {
    "vocab_size": 264,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
    "bos_token_id": None,
    "eos_token_id": 258,
    "pad_token_id": 256,
}


def tiny_llama(out: Path, **changes: Any) -> Path:
    """A llama of two layers and width 64 with its tokenizer, written to `out`; `changes` go to its configuration."""
    return write_base(LlamaConfig(**(SHAPE | changes)), out)


def tiny_mistral(out: Path, **changes: Any) -> Path:
    """The same as mistral, with a sliding window shorter than the context."""
    return write_base(MistralConfig(**(SHAPE | {"sliding_window": 8} | changes)), out)


def tiny_qwen3(out: Path, **changes: Any) -> Path:
    """The same as qwen3, with norms on queries and keys."""
    return write_base(Qwen3Config(**(SHAPE | changes)), out)


def write_base(config: PretrainedConfig, out: Path) -> Path:
    """Random weights (always the same) and a byte tokenizer for a configuration."""
    dense_model(config).save_pretrained(out)
    byte_tokenizer().save_pretrained(out)
    return out


def dense_model(config: PretrainedConfig | None = None, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A base in memory, in evaluation mode; a llama unless told. Norm weights are random too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config or LlamaConfig(**(SHAPE | changes)))
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "norm" in name:
                    p.uniform_(0.5, 1.5)
                elif name.endswith("bias"):
                    p.normal_(0, 0.1)
    return model.eval()


def expert_model(cfg: ModelConfig | None = None, *, seed: int = 1, learnt: bool = True, **changes: Any):
    """A small llama with experts; `learnt` gives every pair and the router random values."""
    model = inject(dense_model(**changes), cfg or experts_config(), seed=seed)
    return disturb(model) if learnt else model


def experts_config(**changes: Any) -> ModelConfig:
    """Four experts, two at a time, rank 4, no dropout."""
    return ModelConfig(**({"rank": 4, "alpha": 8.0, "dropout": 0.0} | changes))


def disturb(model: PreTrainedModel, seed: int = 5, scale: float = 0.1) -> PreTrainedModel:
    """Random values for all that `inject` added, as if it had learnt something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in adapter_parameters(model).values():
            p.copy_(torch.randn(p.shape, generator=generator) * scale)
    return model


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token per byte, three special ones, and a ChatML template with generation marks."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], eos_token=SPECIAL[2], chat_template=CHATML
    )


def random_ids(batch: int = 2, length: int = 24, vocab: int = 256, seed: int = 3) -> torch.Tensor:
    """Token ids [batch, length], always the same."""
    return torch.randint(0, vocab, (batch, length), generator=torch.Generator().manual_seed(seed))
