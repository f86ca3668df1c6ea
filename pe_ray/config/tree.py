"""The configuration tree: everything that one run can be told, with the defaults that we would use ourselves.

Frozen pydantic models, free of torch and Ray. A file gives the run, `--set a.b=c` changes a field, unknown keys are
refused. Secrets are not here: they come from the environment through `security/keys.py`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, model_validator

from pe_ray.config.corpus import CorpusConfig
from pe_ray.config.generate import GenerateConfig
from pe_ray.config.section import Section
from pe_ray.record import DOMAINS

ProfileName = Literal["fast", "balanced", "quality", "memory_efficient"]
PROFILE_NAMES: tuple[ProfileName, ...] = get_args(ProfileName)


class TinyBaseConfig(Section):
    """The base that is trained here, when no network is at hand."""

    vocab_size: int = Field(4096, ge=320, le=65536)
    """Tokens of the BPE vocabulary."""
    layers: int = Field(4, gt=0)
    """Transformer layers."""
    width: int = Field(256, gt=0)
    """Model width; divisible by heads."""
    heads: int = Field(8, gt=0)
    """Attention heads."""
    kv_heads: int = Field(4, gt=0)
    """Key and value heads; divides heads."""
    positions: int = Field(8192, gt=0)
    """Longest context."""
    steps: int = Field(150, gt=0)
    """Optimizer steps of its pre-training."""
    tokens_per_step: int = Field(2048, gt=0)
    """Tokens per optimizer step."""
    context: int = Field(256, gt=0)
    """Sequence length of its pre-training."""
    learning_rate: float = Field(3e-3, gt=0)
    """Peak rate."""


class RopeConfig(Section):
    """A longer context by the base's own rotary positions."""

    type: Literal["linear", "dynamic", "yarn"] = "yarn"
    """How positions are stretched, as transformers computes it."""
    factor: float = Field(gt=1)
    """How many times as long."""


class BaseConfig(Section):
    """The frozen model under the experts."""

    shorthand: ClassVar[str | None] = "name"

    name: str = "tiny"
    """`tiny`, a local path, or a hub id of a llama, mistral or qwen3 model."""
    revision: str | None = None
    """Commit or tag of a hub id."""
    rope: RopeConfig | None = None
    """Stretch the positions of the base beyond its context; empty: as it is."""
    chat_template: str | None = None
    """Jinja chat template, or a file that holds one, for a base whose tokenizer has none."""
    quantise: Literal["none", "8bit", "4bit", "fp8"] = "none"
    """Keep the frozen weights in 8 or 4 bits (bitsandbytes), or compute with them in 8-bit floating point."""
    tiny: TinyBaseConfig = TinyBaseConfig()
    """Shape of the tiny base; read only with name=tiny."""


class ModelConfig(Section):
    """The experts and their router."""

    experts: tuple[str, ...] = DOMAINS
    """Names, one expert each, in the order of the router's columns."""
    top_k: int = Field(2, gt=0)
    """Experts that answer for a token."""
    rank: int = Field(16, gt=0)
    """Rank of every low-rank pair."""
    alpha: float = Field(32.0, gt=0)
    """LoRA alpha; the delta is scaled by alpha / rank."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout on the input of the low-rank pairs while training."""
    shared_a: bool = False
    """Experts share the first matrix of their pairs and differ in the second (arXiv 2404.19245): fewer parameters."""
    attention: tuple[Literal["q_proj", "k_proj", "v_proj", "o_proj"], ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    """Attention projections that carry an ordinary LoRA."""
    balance_coef: float = Field(0.15, ge=0)
    """Weight of the load-balance term."""
    domain_coef: float = Field(0.1, ge=0)
    """Weight of the supervised domain-routing term; 0 makes the experts' names mere labels."""
    z_coef: float = Field(1e-3, ge=0)
    """Weight of the router z term, which keeps its logits small."""

    @model_validator(mode="after")
    def _top_k_fits(self) -> ModelConfig:
        if self.top_k > len(self.experts):
            raise ValueError(f"top_k={self.top_k} is more than the {len(self.experts)} experts")
        if len(set(self.experts)) != len(self.experts):
            raise ValueError(f"experts={list(self.experts)} names one twice")
        return self


class TrainConfig(Section):
    """One training run."""

    profile: Literal["auto"] | ProfileName = "auto"
    """Row of the profile table; `auto` takes what tune chose, else `balanced`."""
    steps: int | None = Field(None, gt=0)
    """Optimizer steps; empty: as many as `epochs` makes."""
    epochs: float = Field(3.0, gt=0)
    """Passes over the training examples when steps is empty."""
    window_s: float = Field(12 * 3600.0, gt=0)
    """Wall-clock budget in seconds; the loop stops at the first step past it."""
    safety_margin_s: float | None = Field(None, ge=0)
    """Seconds of the window kept for the last checkpoint and the export; empty: a 24th of it."""
    checkpoint_every_s: float = Field(1800.0, gt=0)
    """Seconds between checkpoints."""
    checkpoint_every_steps: int | None = Field(None, gt=0)
    """Steps between checkpoints, beside the seconds."""
    copy_to: str | None = None
    """A second place for checkpoints that outlives the machine, for example s3://bucket/prefix; empty: none."""
    shard_base: bool = False
    """Spread the frozen base over the workers (FSDP2) where it does not fit on one; else each has a copy."""
    keep_checkpoints: int = Field(3, gt=0)
    """Newest checkpoints that stay on disk."""
    workers: int = Field(0, ge=0)
    """Ray Train workers; 0 trains in this process."""
    start_from: str | None = None
    """An adapter whose weights training begins with: a directory, `name`, `name@version`; empty: from the base."""
    min_workers: int | None = Field(None, gt=0)
    """Fewest workers that Ray Train may go on with while others are missing; empty: all of them."""
    hang_s: float = Field(1800.0, gt=0)
    """Seconds without a step after which a run counts as hung and is started again; longer than a step and an
    evaluation together."""
    micro_batch: int | None = Field(None, gt=0)
    """Packed sequences per forward pass; empty: the profile's."""
    accumulation: int | None = Field(None, gt=0)
    """Forward passes per optimizer step over all workers; empty: the profile's."""
    context: int | None = Field(None, gt=0, le=131072)
    """Tokens per packed sequence; empty: the profile's."""
    learning_rate: float = Field(2e-4, gt=0)
    """Peak rate of AdamW."""
    floor_rate: float = Field(0.1, ge=0, le=1)
    """Where the cosine ends, as a share of the peak."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW weight decay."""
    warmup_steps: int = Field(1000, ge=0)
    """Longest warm-up; never more than 3 % of the run."""
    clip_norm: float = Field(1.0, gt=0)
    """Gradient norm above which gradients are scaled down."""
    eval_every_steps: int = Field(20, gt=0)
    """Steps between evaluations."""
    patience: int = Field(3, gt=0)
    """Evaluations in a row without a better loss before the run stops early."""
    max_bad_steps: int = Field(5, gt=0)
    """Steps in a row that may be skipped for a loss that is not finite."""
    seed: int = 7
    """Of the experts' initial values, the order of the data and dropout."""
    threads: int | None = Field(None, gt=0)
    """CPU threads per worker; empty: the cores divided by the workers."""
    failures: int = Field(2, ge=0)
    """Worker failures after which Ray Train gives up."""
    track: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ()
    """Where the step log is mirrored to; the last two are extras."""

    @model_validator(mode="after")
    def _margin_fits(self) -> TrainConfig:
        if self.margin_s >= self.window_s:
            raise ValueError(
                f"safety_margin_s={self.margin_s:g} is not shorter than window_s={self.window_s:g}: "
                "no time would be left to train"
            )
        return self

    @model_validator(mode="after")
    def _elastic_fits(self) -> TrainConfig:
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(f"min_workers={self.min_workers} is more than workers={self.workers}")
        return self

    @property
    def margin_s(self) -> float:
        """Seconds kept for the end of the run."""
        return self.window_s / 24 if self.safety_margin_s is None else self.safety_margin_s


class TuneConfig(Section):
    """Which profiles are measured, and for how long."""

    profiles: tuple[ProfileName, ...] = PROFILE_NAMES
    """Rows of the profile table that are measured."""
    seconds_per_profile: float = Field(15.0, gt=0)
    """Longest measurement of one profile."""
    max_context: int | None = Field(None, gt=0)
    """Caps every profile's context (a tiny base has little to fill 8,192 tokens with)."""
    max_tokens_per_step: int | None = Field(None, gt=0)
    """Caps micro-batch x accumulation x context."""
    memory_gib: float | None = Field(None, gt=0)
    """Memory that a profile may use; empty: what the machine or the GPU has."""
    search: int = Field(0, ge=0)
    """Trials of a search over rank, learning rate and balance, after the profiles; 0: none."""
    search_steps: int = Field(40, gt=0)
    """Optimizer steps of a trial that is not ended early."""
    parallel: int = Field(1, gt=0)
    """Trials at a time; more than one disturbs the measurement."""


class ExportConfig(Section):
    """What leaves the run."""

    name: str = Field("therapist", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Name of the adapter and of the merged model."""
    merged: bool = True
    """Write the stock mixture-of-experts checkpoint too."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the merged weights."""
    tolerance: float = Field(5e-6, gt=0)
    """Largest accepted difference of the merged model's logits on the probe batch (float32)."""


class ServeConfig(Section):
    """The gateway and its engine."""

    host: str = "127.0.0.1"
    """Address of the HTTP proxy; anything but loopback needs production mode."""
    port: int = Field(8000, ge=0, le=65535)
    """Port of the HTTP proxy; 0 takes a free one."""
    mode: Literal["dev", "production"] = "dev"
    """dev: loopback, no authentication. production: Bearer keys, refuses to start without one."""
    model: str = "latest"
    """`name@version`, `name`, `latest`, or the path of an adapter or merged directory."""
    form: Literal["merged", "adapter"] = "merged"
    """Which form the engine loads when both exist."""
    replicas: int = Field(1, gt=0)
    """Engine replicas to start with."""
    max_replicas: int = Field(2, gt=0)
    """Engine replicas that autoscaling may reach."""
    max_new_tokens: int = Field(96, gt=0, le=8192)
    """Tokens of a reply unless the request says fewer."""
    temperature: float = Field(0.0, ge=0, le=2)
    """0 is greedy; sampled replies are not cached."""
    cache_entries: int = Field(10_000, ge=0)
    """Replies kept for equal requests; 0 turns the cache off."""
    cache_ttl_s: float = Field(3600.0, gt=0)
    """Seconds after which a cached reply is forgotten."""
    max_input_chars: int = Field(20_000, gt=0)
    """Longest message accepted."""
    locale: str = Field("US", pattern=r"^[A-Z]{2}$")
    """Country whose crisis resources are shown when a request names none."""
    timeout_s: float = Field(60.0, gt=0)
    """Longest wait for the engine."""


class ProgressConfig(Section):
    """The journal and its reports."""

    drain_every_s: float = Field(0.5, gt=0)
    """Seconds between deliveries from the outbox."""
    report_window_days: int = Field(365, gt=0)
    """Days that a report looks back unless it is asked otherwise."""


class Config(Section):
    """A whole run. A job reads the sections it needs; the resolved tree is saved beside its results."""

    run_id: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run; the same name resumes. Empty: one is made."""
    corpus: CorpusConfig = CorpusConfig()
    """Sources, checks, balance."""
    generate: GenerateConfig = GenerateConfig()
    """Records written by a language model or from templates."""
    base: BaseConfig = BaseConfig()
    """The frozen base."""
    model: ModelConfig = ModelConfig()
    """Experts and router."""
    train: TrainConfig = TrainConfig()
    """Loop, window, checkpoints."""
    tune: TuneConfig = TuneConfig()
    """Measuring and choosing the profile."""
    export: ExportConfig = ExportConfig()
    """Adapter and merged checkpoint."""
    serve: ServeConfig = ServeConfig()
    """Gateway and engine."""
    progress: ProgressConfig = ProgressConfig()
    """Journal and reports."""

    @model_validator(mode="after")
    def _context_fits(self) -> Config:
        rope = self.base.rope
        positions, context = int(self.base.tiny.positions * (rope.factor if rope else 1)), self.train.context
        if self.base.name == "tiny" and context is not None and context > positions:
            raise ValueError(
                f"train.context={context} is longer than base.tiny.positions={positions}: "
                "shorten the context or give the base more positions"
            )
        return self

    @model_validator(mode="after")
    def _merged_is_exact(self) -> Config:
        if self.base.quantise in ("8bit", "fp8") and self.export.merged:
            raise ValueError(
                f"base.quantise={self.base.quantise} and export.merged=true: products of an 8-bit base are rounded by "
                "the input, so no merged model computes the same; set export.merged=false to serve the adapter, or "
                "base.quantise=none"
            )
        return self
