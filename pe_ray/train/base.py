"""The frozen base: the tiny one that is trained here without a network, or a llama, mistral or qwen3 of the user's.

The tiny base is tokenizer and model from the training split of a corpus: BPE, then a Llama-shaped model through the one
loop. It shows that the machinery works; nobody should be given its replies as help.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from transformers import AutoConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pe_ray.config import Config, TinyBaseConfig
from pe_ray.errors import UserError
from pe_ray.model.base import check_config, load_tokenizer, resolve
from pe_ray.record import Example, Record, digest, from_table
from pe_ray.store import manifest
from pe_ray.store.corpora import open_corpus
from pe_ray.store.paths import Home
from pe_ray.train.data import Examples
from pe_ray.train.loop import fit
from pe_ray.train.objective import NextToken
from pe_ray.train.packing import Shape, TrainBatches
from pe_ray.train.process import steady, threads_of
from pe_ray.train.profiles import Profile
from pe_ray.train.schedule import Schedule
from pe_ray.train.state import FitResult, Settings
from pe_ray.train.window import Window

KIND = "base"
FORMAT = "1"
"""Part of the cache key: a change of what this file computes makes a new base."""
SEED = 11
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] + '<|im_end|>' -}}{%- endif -%}"
    "{{- '\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
"""ChatML; what lies between the generation marks is the assistant's and is learnt."""


@dataclass(frozen=True)
class BaseResult:
    """Where the base is, and the "base" stage of summary.json."""

    path: Path
    stage: dict[str, Any]


def ensure_base(config: Config, corpus_dir: Path, home: Home) -> BaseResult:
    """The base that the run names: trained here and kept by (corpus, shape), or found and checked.

    Raises BaseModelError if a named one is absent, of another kind, or has no chat template and none was given.
    """
    if config.base.name != "tiny":
        return check_foreign(config)
    began = time.monotonic()
    corpus = corpus_fingerprint(corpus_dir)
    key = digest(FORMAT, corpus, config.base.tiny.model_dump_json())
    path = home.base(key)
    cached = manifest.is_finished(path)
    if not cached:
        with (
            manifest.stage(path, kind=KIND, parents={"corpus": corpus}) as out,
            steady(threads_of(config.train.threads, 1)),
        ):
            out.facts.update(train_tiny(config.base.tiny, list(training_records(corpus_dir)), out.path))
    facts = manifest.read(path, KIND).facts
    stage = {"name": "tiny", "tokens": facts["tokens"], "loss": facts["loss"]}
    return BaseResult(path, stage | {"elapsed_s": round(time.monotonic() - began, 3), "cached": cached})


def train_tiny(shape: TinyBaseConfig, records: list[Record], out: Path) -> dict[str, Any]:
    """Train tokenizer and model on `records` into `out`, a plain HF directory; returns tokens, loss and sizes."""
    tokenizer = train_tokenizer(records, shape.vocab_size, shape.positions)
    examples = Examples.of((_example(tokenizer, r) for r in records), ())
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(llama_config(shape, tokenizer))
    result = _pretrain(model, examples, shape, tokenizer.pad_token_id)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    last = result.state.last_losses
    return {
        "tokens": result.state.tokens,
        "loss": sum(last) / len(last),
        "steps": result.state.step,
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        "demo_base": True,
    }


def _pretrain(model: LlamaForCausalLM, examples: Examples, shape: TinyBaseConfig, pad_id: int) -> FitResult:
    rows = max(1, shape.tokens_per_step // shape.context)
    profile = Profile("tiny", micro_batch=rows, accumulation=1, context=min(shape.context, shape.positions))
    batches = TrainBatches(examples, Shape(rows, 1, profile.context), SEED, pad_id=pad_id, balanced=False)
    settings = Settings(
        steps=shape.steps,
        schedule=Schedule(shape.learning_rate, floor=0.05, warmup_steps=shape.steps),
        weight_decay=0.1,
        seed=SEED,
    )
    hour_s = 3600.0  # a fixed number of steps; the window of the run itself begins later
    return fit(model, batches, NextToken(), profile=profile, window=Window(24 * hour_s), settings=settings)


def train_tokenizer(records: list[Record], vocab_size: int, positions: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most `vocab_size` tokens with the ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END, START, STOP],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (text for r in records for m in r.messages for text in (m.role, m.text))
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=STOP,
        pad_token=END,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )


def llama_config(shape: TinyBaseConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama of the tiny shape; its feed-forward width is 8/3 of the model's, in multiples of 64."""
    if shape.width % shape.heads or shape.heads % shape.kv_heads:
        raise UserError(
            f"base.tiny: heads={shape.heads} must divide width={shape.width}, and kv_heads={shape.kv_heads} heads"
        )
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=-(-8 * shape.width // 3 // 64) * 64,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=True,
        # 1 / sqrt(width) instead of 0.02: with so few steps a narrow model otherwise stays at word frequencies
        initializer_range=shape.width**-0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def training_records(corpus_dir: Path) -> Iterator[Record]:
    """The records of the training split, in the order of the files. Raises ManifestError if the corpus was changed."""
    open_corpus(corpus_dir)
    files = sorted((corpus_dir / "records").glob("*.parquet"))
    if not files:
        raise UserError(f"corpus={corpus_dir}: has no records/*.parquet; build it with `pe-ray corpus build`")
    for file in files:
        yield from from_table(pq.read_table(file, filters=[("split", "=", "train")]))


def corpus_fingerprint(corpus_dir: Path) -> str:
    """What a finished corpus is known by. Raises ManifestError if it is not finished."""
    found = manifest.read(corpus_dir, "corpus")
    return str(found.facts.get("fingerprint") or corpus_dir.name)


def check_foreign(config: Config) -> BaseResult:
    """A base from a path or a hub, checked without loading its weights. Raises BaseModelError."""
    began = time.monotonic()
    path = resolve(config.base.name, config.base.revision)
    check_config(AutoConfig.from_pretrained(path, local_files_only=True), path)
    load_tokenizer(path, config.base.chat_template)
    stage = {"name": config.base.name, "tokens": None, "loss": None}
    return BaseResult(path.absolute(), stage | {"elapsed_s": round(time.monotonic() - began, 3), "cached": True})


def _example(tokenizer: PreTrainedTokenizerFast, record: Record) -> Example:
    messages = [{"role": m.role, "content": m.text} for m in record.messages]
    ids = tokenizer(tokenizer.apply_chat_template(messages, tokenize=False), add_special_tokens=False)["input_ids"]
    return Example(tuple(ids), (1,) * len(ids), record.domain, record.id)
