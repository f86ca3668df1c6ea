"""From a configuration to what `fit` takes: the plan of a run, its model, its data, its settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pe_ray.config import Config, config_hash, dump
from pe_ray.errors import ManifestError, RunConflict, UserError
from pe_ray.model import adapter
from pe_ray.model.base import fingerprint, load_base, most_context
from pe_ray.model.inject import inject
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train import process
from pe_ray.train.checkpoint import PLAN, Checkpoints, code_version, finished
from pe_ray.train.collective import Collective
from pe_ray.train.data import Examples, read_examples
from pe_ray.train.packing import PackedBatch, Shape, TrainBatches, evaluation_batches
from pe_ray.train.profiles import Profile, resolve
from pe_ray.train.remote import Remote
from pe_ray.train.schedule import Schedule
from pe_ray.train.state import Settings

EVAL_STEPS = 5
"""An evaluation reads at most as many tokens as this many training steps, so that it stays a small part of the run."""

LOST = 8
"""A kill loses at most this part of a window, however rare `checkpoint_every_s` makes checkpoints."""


@dataclass(frozen=True)
class Plan:
    """What a run was started with; it is the same after every restart, and travels to the workers."""

    config: Config
    examples_dir: Path
    base: Path
    run_dir: Path
    profile: Profile
    threads: int
    """CPU threads of a worker: another number would sum in another order."""
    parents: dict[str, str]
    """Of every checkpoint: run, config, corpus, base, code."""


def begin(
    config: Config,
    examples_dir: Path,
    base: str | Path,
    home: Home,
    run_id: str,
    profile_name: str | None,
    fitted: tuple[int, int] | None = None,
) -> Plan:
    """Start a run, or go on with it: the profile and the threads that it was started with stay.

    `fitted`: micro-batch and accumulation that a measurement found to fit, instead of the profile's.

    Raises RunConflict if the id belongs to another configuration, corpus or base; ManifestError if the examples are
    not finished.
    """
    from pe_ray.store.ops import Runs  # the driver's business: workers need no database

    base, run_dir = Path(base).absolute(), home.run(run_id)
    profile = resolve(profile_name or config.train.profile, config)
    if fitted:
        profile = replace(profile, micro_batch=fitted[0], accumulation=fitted[1])
    _check_context(config, profile, base)
    made = manifest.read(examples_dir, "examples")
    _check_tokenizer(made, examples_dir, base)
    corpus = made.parents.get("corpus", "")
    threads = process.threads_of(config.train.threads, config.train.workers)
    stands, plan = {"corpus": corpus, "base_fingerprint": fingerprint(base)}, run_dir / PLAN
    if plan.is_file():
        known = json.loads(plan.read_text())
        for name, value in stands.items():
            if known[name] != value:
                raise RunConflict(
                    f"run_id={run_id}: was started on {name} {known[name]}, not {value}; give another --run-id"
                )
        profile, threads = Profile(**known["profile"]), known["threads"]
    hashed = config_hash(config)
    Runs(home).begin(run_id, "train", hashed)
    manifest.write_json(plan, stands | {"base": str(base), "profile": asdict(profile), "threads": threads})
    manifest.write_bytes(run_dir / "config.yaml", dump(config).encode())
    parents = {
        "run": run_id,
        "config": hashed,
        "corpus": corpus,
        "base": stands["base_fingerprint"],
        "code": code_version(),
    }
    return Plan(config, examples_dir, base, run_dir, profile, threads, parents)


def _check_tokenizer(made: manifest.Manifest, examples_dir: Path, base: Path) -> None:
    """Refuse token ids of another vocabulary, where both say which is theirs."""
    told, own = made.facts.get("tokenizer"), base / "tokenizer.json"
    if told and own.is_file() and told != manifest.file_hash(own):
        raise UserError(
            f"examples={examples_dir}: were made with another tokenizer than that of {base}; tokenise the corpus for it"
        )


def _check_context(config: Config, profile: Profile, base: Path) -> None:
    most = most_context(base, config.base.rope.model_dump() if config.base.rope else None)
    if profile.context > most:
        raise UserError(
            f"train.context={profile.context}: is longer than the {most} positions of the base; shorten it, cap it by "
            "tune.max_context, or stretch the base by base.rope"
        )


def device_of() -> torch.device:
    """The GPU of this process where there is one."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def build_model(config: Config, profile: Profile, base: Path, device: torch.device) -> tuple[nn.Module, Any]:
    """Base, experts and tokenizer, ready to train: bfloat16 under float32 experts on a GPU, float32 on a CPU.

    The profile's packing of the base is for a GPU, where bitsandbytes is fast; a run file's own is for both.
    """
    gpu = device.type == "cuda"
    model, tokenizer = load_base(
        base,
        quantise=profile.quantise if gpu else config.base.quantise,
        dtype=torch.bfloat16 if gpu else torch.float32,
        device=str(device),
        chat_template=config.base.chat_template,
        rope=config.base.rope.model_dump() if config.base.rope else None,
    )
    inject(model, config.model, config.train.seed)
    if config.train.start_from:
        _start_from(model, config.train.start_from, base)
    return model, tokenizer


def _start_from(model: nn.Module, reference: str, base: Path) -> None:
    """Give the experts the weights of an adapter over the same base. Raises UserError where they do not fit."""
    path = Home.find().resolve_model(reference, "adapter")
    described = adapter.read(path)
    if described["base"].get("fingerprint") != fingerprint(base):
        raise UserError(f"train.start_from={reference}: was trained on another base; give base that one")
    try:
        adapter.load_weights(model, adapter.tensors_of(path), path)
    except ManifestError as error:
        raise UserError(
            f"train.start_from={reference}: {error}; give model.experts, rank and attention as it has"
        ) from None


@dataclass(frozen=True)
class Data:
    """The batches of one rank, and how many steps `epochs` makes of the examples."""

    train: TrainBatches
    evaluation: list[PackedBatch]
    steps: int


def build_data(plan: Plan, pad_id: int, collective: Collective) -> Data:
    """Read the examples and pack them as the profile says."""
    config, shape = plan.config, shape_of(plan.profile)
    experts = config.model.experts
    examples = read_examples(plan.examples_dir, "train", experts)
    held_out = read_examples(plan.examples_dir, "validation", experts)
    rank = {"rank": collective.rank, "size": collective.size}
    return Data(
        TrainBatches(examples, shape, config.train.seed, pad_id=pad_id, **rank),
        evaluation_batches(held_out, shape, pad_id=pad_id, max_tokens=EVAL_STEPS * shape.tokens, **rank),
        num_steps(config, examples, plan.profile),
    )


def shape_of(profile: Profile) -> Shape:
    """The sizes that packing needs."""
    return Shape(profile.micro_batch, profile.accumulation, profile.context)


def num_steps(config: Config, examples: Examples, profile: Profile) -> int:
    """`train.steps`, or as many as `train.epochs` makes when every row is full."""
    return config.train.steps or max(1, round(config.train.epochs * examples.num_tokens / profile.tokens))


def settings_of(config: Config, steps: int) -> Settings:
    """The section `train` as the loop takes it."""
    train = config.train
    return Settings(
        steps=steps,
        schedule=Schedule(train.learning_rate, train.floor_rate, train.warmup_steps),
        weight_decay=train.weight_decay,
        clip_norm=train.clip_norm,
        eval_every_steps=train.eval_every_steps,
        patience=train.patience,
        max_bad_steps=train.max_bad_steps,
        checkpoint_every_s=min(train.checkpoint_every_s, train.window_s / LOST),
        checkpoint_every_steps=train.checkpoint_every_steps,
        seed=train.seed,
    )


def checkpoints_of(plan: Plan, model: nn.Module) -> Checkpoints:
    """Where the run's checkpoints go; each says whether its base was packed into fewer bits."""
    facts = {"quantise": plan.profile.quantise if getattr(model, "is_quantized", False) else "none"}
    keep = plan.config.train.keep_checkpoints
    directory = plan.run_dir / "checkpoints"
    return Checkpoints(directory, parents=plan.parents, facts=facts, keep=keep, remote=remote_of(plan))


def bring_back(plan: Plan) -> None:
    """On a machine that has nothing of the run yet: its newest copied checkpoint, and its step log."""
    remote = remote_of(plan)
    if remote and not finished(plan.run_dir / "checkpoints"):
        remote.fetch(plan.run_dir)


def remote_of(plan: Plan) -> Remote | None:
    """Where copies of the run's checkpoints go, if anywhere."""
    copy_to = plan.config.train.copy_to
    return Remote.at(copy_to, plan.run_dir.name) if copy_to else None
