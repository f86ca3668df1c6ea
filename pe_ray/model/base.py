"""Frozen bases: which models can carry experts and be exported exactly, and how they are loaded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from pe_ray.errors import BaseModelError
from pe_ray.model.fp8 import to_fp8

SUPPORTED = ("llama", "mistral", "qwen3")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
KNOWN_WEIGHT = re.compile(
    r"model\.(embed_tokens|norm)\.weight|lm_head\.weight|model\.layers\.\d+\."
    r"(self_attn\.[qkvo]_proj\.(weight|bias)|self_attn\.[qk]_norm\.weight"
    r"|mlp\.(gate|up|down)_proj\.weight|(input|post_attention)_layernorm\.weight)"
)
"""What the exported form has a place for; which of them a base has, its configuration says."""
DERIVED = "rotary_emb.inv_freq"
"""Computed from the configuration; old checkpoints of llama carry it as a weight."""
WANTED_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]


def load_base(
    path_or_id: str | Path,
    *,
    revision: str | None = None,
    quantise: str = "none",
    dtype: torch.dtype | None = torch.float32,
    device: str = "cpu",
    chat_template: str | None = None,
    rope: Mapping[str, Any] | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A dense llama, mistral or qwen3 model and its tokenizer, which has a chat template.

    A path is never looked for on the hub. `dtype` None keeps that of the files. `quantise` 4bit or 8bit packs the
    linear maps (bitsandbytes), fp8 computes them in 8-bit floating point (fp8.py). `rope` ({"type", "factor"})
    stretches its positions, see `stretch`. `chat_template` is a Jinja text or a file that holds one, and wins over
    the tokenizer's own.

    Raises BaseModelError in one line: absent, of another kind, or without a chat template.
    """
    path = resolve(path_or_id, revision)
    tokenizer = load_tokenizer(path, chat_template)
    return load_model(path, quantise=quantise, dtype=dtype, device=device, rope=rope), tokenizer


def load_model(
    path: Path,
    *,
    quantise: str = "none",
    dtype: torch.dtype | None = None,
    device: str = "cpu",
    rope: Mapping[str, Any] | None = None,
) -> PreTrainedModel:
    """The model of a local base directory, in evaluation mode; arguments and errors as `load_base`."""
    config = _read("base", path, lambda: AutoConfig.from_pretrained(path, local_files_only=True))
    check_config(config, path)
    if rope:
        stretch(config, rope["type"], rope["factor"])
    options: dict[str, Any] = {
        "config": config,
        "dtype": dtype or "auto",
        "local_files_only": True,
        "output_loading_info": True,
    }
    if quantise in ("4bit", "8bit"):
        options |= {"quantization_config": _quantisation(quantise, dtype), "device_map": device}
    model, report = _read("base", path, lambda: AutoModelForCausalLM.from_pretrained(path, **options))
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random values
        raise BaseModelError(f"base={path}: {len(missing)} weights are missing, first {missing[0]}; fetch it again")
    _refuse([n for n in report["unexpected_keys"] if not n.endswith(DERIVED)], path)  # it would go on without them
    if quantise == "fp8":
        return to_fp8(model.to(device)).eval()
    if quantise == "none":
        return model.to(device).eval()
    for module in model.modules():
        # bitsandbytes 0.50 packs 4-bit weights anew when a CPU evaluates and then computes in bfloat16: training,
        # evaluation and export would see three different functions.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model.eval()


def stretch(config: PretrainedConfig, kind: str, factor: float) -> None:
    """Let a base see `factor` times as many positions, by its own rotary embedding; changes `config`.

    Raises BaseModelError for a base whose positions are stretched already.
    """
    rope = dict(config.rope_parameters)
    if rope.get("rope_type", "default") != "default":
        raise BaseModelError(f"base.rope: the base's positions are stretched already (rope_type={rope['rope_type']})")
    before = config.max_position_embeddings
    rope |= {"rope_type": kind, "factor": float(factor), "original_max_position_embeddings": before}
    config.rope_parameters = rope
    config.max_position_embeddings = int(before * factor)


def most_context(path: str | Path, rope: Mapping[str, Any] | None = None) -> int:
    """How many positions a base has, stretched or not."""
    config = AutoConfig.from_pretrained(path, local_files_only=True)
    return int(config.max_position_embeddings * (rope["factor"] if rope else 1))


def resolve(path_or_id: str | Path, revision: str | None = None) -> Path:
    """The local directory of a base; a hub id is fetched into the hub's own cache.

    Raises BaseModelError if there is no such directory, or the hub cannot give the id.
    """
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        return path
    if isinstance(path_or_id, Path) or not HUB_ID.fullmatch(path_or_id):
        raise BaseModelError(f"base={path_or_id}: no such directory; give `tiny`, a local path or a hub id")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path_or_id, revision=revision, allow_patterns=WANTED_FILES))
    except Exception as error:  # noqa: BLE001 - the hub client has dozens of ways to say that it cannot
        raise BaseModelError(
            f"base={path_or_id}: neither a local directory nor to be had from the hub ({type(error).__name__}); "
            "check the name and the network, or give a local path"
        ) from None


def check_config(config: PretrainedConfig, name: str | Path = "the model") -> None:
    """Refuse a base that Mixtral or Qwen3-MoE could not represent exactly, before anyone trains on it."""
    kind = config.model_type
    if kind not in SUPPORTED:
        raise BaseModelError(f"base={name}: model_type={kind} is not one of {', '.join(SUPPORTED)}")
    for field in ("attention_bias", "mlp_bias") if kind == "llama" else ():
        if getattr(config, field, False):
            raise BaseModelError(f"base={name}: {field}=True has no place in Mixtral; take a base with {field}=False")
    layer_types = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if layer_types:
        raise BaseModelError(
            f"base={name}: layer_types holds {sorted(layer_types)[0]}, which its mixture-of-experts form cannot "
            "express; take a base with full attention in every layer"
        )


def check_weights(names: Iterable[str], name: str | Path = "the model") -> None:
    """Refuse a base with weights that experts and export would pass over: an adapter, a further norm, another head."""
    _refuse([n for n in names if not KNOWN_WEIGHT.fullmatch(n)], name)


def _refuse(unknown: list[str], name: str | Path) -> None:
    if unknown:
        raise BaseModelError(
            f"base={name}: {len(unknown)} weights have no place in a mixture-of-experts form, first {min(unknown)}; "
            "take a plain base, its adapters merged"
        )


def load_tokenizer(path: Path, chat_template: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a base directory, with a chat template and a padding token.

    Raises BaseModelError if there is no tokenizer, or no chat template anywhere.
    """
    tokenizer = _read("tokenizer", path, lambda: AutoTokenizer.from_pretrained(path, local_files_only=True))
    if chat_template:
        tokenizer.chat_template = template_text(chat_template)
    if not tokenizer.chat_template:
        raise BaseModelError(
            f"base.chat_template is empty and the tokenizer of {path} has none; give a Jinja template or its file"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def template_text(chat_template: str) -> str:
    """The template itself, read from a file where the value names one."""
    if "{%" in chat_template or "{{" in chat_template:
        return chat_template
    path = Path(chat_template).expanduser()
    if not path.is_file():
        raise BaseModelError(f"base.chat_template={chat_template}: neither a Jinja template nor a file")
    return path.read_text()


def fingerprint(path: str | Path) -> str:
    """Identity of a base directory: a hash over config.json and the weights.

    Of a file above 64 MiB the size and 16 samples of one MiB count, so that a 16 GB base is told from another in a
    moment; it is an identity, not a check of every byte. The tokenizer is left out: an adapter carries its own.
    """
    files = sorted(p for p in Path(path).iterdir() if p.name == "config.json" or p.suffix in (".safetensors", ".bin"))
    if len(files) < 2:
        raise BaseModelError(f"base={path}: no config.json with weights beside it")
    total = hashlib.blake2b(digest_size=16)
    for file in files:
        total.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        total.update(_sample(file))
    return total.hexdigest()


def _sample(file: Path, whole: int = 64 << 20, piece: int = 1 << 20, pieces: int = 16) -> bytes:
    size = file.stat().st_size
    with file.open("rb") as f:
        if size <= whole:
            return hashlib.file_digest(f, lambda: hashlib.blake2b(digest_size=16)).digest()
        h = hashlib.blake2b(digest_size=16)
        for i in range(pieces):
            f.seek((size - piece) * i // (pieces - 1))
            h.update(f.read(piece))
        return h.digest()


def _read(what: str, path: Path, load: Any) -> Any:
    """Run a from_pretrained; what it cannot read becomes one line."""
    try:
        return load()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise BaseModelError(f"base={path}: holds no readable {what} ({reason})") from None


def _quantisation(quantise: str, dtype: torch.dtype | None) -> BitsAndBytesConfig:
    if quantise == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype or torch.bfloat16
    )
