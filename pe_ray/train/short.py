"""A training that leaves nothing on disk: for a search that tries many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pe_ray.config import Config
from pe_ray.train import process, setup
from pe_ray.train.collective import Alone
from pe_ray.train.data import read_examples
from pe_ray.train.loop import fit
from pe_ray.train.objective import Experts
from pe_ray.train.packing import TrainBatches, evaluation_batches
from pe_ray.train.profiles import resolve
from pe_ray.train.window import Window


def train_short(config: Config, examples_dir: Path, base: Path, tell: Callable[[int, float], None]) -> None:
    """Train `config.train.steps` steps in this process; `tell(step, held-out loss)` after every evaluation."""
    profile = resolve(config.train.profile, config)
    with process.steady(process.threads_of(config.train.threads, 1)):
        model, tokenizer = setup.build_model(config, profile, base, setup.device_of())
        experts, shape = config.model.experts, setup.shape_of(profile)
        train = read_examples(examples_dir, "train", experts)
        held_out = read_examples(examples_dir, "validation", experts)
        pad, most = tokenizer.pad_token_id, setup.EVAL_STEPS * shape.tokens

        def on_step(line: Mapping[str, Any]) -> None:
            if line.get("eval_loss") is not None:
                tell(line["step"], line["eval_loss"])

        fit(
            model,
            TrainBatches(train, shape, config.train.seed, pad_id=pad),
            Experts(config.model),
            profile=profile,
            window=Window(config.train.window_s, config.train.margin_s),
            settings=setup.settings_of(config, config.train.steps or 1),
            evaluation=evaluation_batches(held_out, shape, pad_id=pad, max_tokens=most),
            collective=Alone(),
            on_step=on_step,
        )
