"""Does a run take what `pe-ray train estimate` says? Runs that their steps bound, and runs that the window bounds.

Small experts over a tiny base that is trained here, on the bundled corpus. Each round estimates, then trains; a
machine whose speed changes between the two shows in the single ratios, so the median of the rounds counts.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_ray.bench.document import Result, measured

if TYPE_CHECKING:
    from pe_ray.config import Config

RUN_S = 65.0
"""Wall-clock seconds of a run; the promise is for runs of a minute or more."""
CALIBRATE_S = 15.0
OFF = 1.15
"""The larger of estimate and truth over the smaller."""
SETTINGS = (
    "corpus.engine=local",
    "base.tiny.steps=60",
    "base.tiny.tokens_per_step=512",
    "train.workers=0",
    "train.profile=balanced",
    "train.micro_batch=2",
    "train.accumulation=1",
    "train.context=256",
    "train.patience=1000",
    "train.eval_every_steps=50",
    "train.safety_margin_s=3",
)


def run(rounds: int) -> list[Result]:
    """The medians over the rounds, and every round's own ratio."""
    from pe_ray.config import load
    from pe_ray.corpus import pipeline
    from pe_ray.corpus.tokenise import tokenise
    from pe_ray.store.paths import Home
    from pe_ray.train.base import ensure_base
    from pe_ray.train.process import steady

    found: dict[str, list[float]] = {"elapsed": [], "tokens": []}
    elapsed: list[float] = []
    with tempfile.TemporaryDirectory(prefix="pe_ray-bench-") as folder, steady(1):
        home = Home.at(folder)
        config = load(None, list(SETTINGS))
        corpus = pipeline.build(config, home).path
        base = ensure_base(config, corpus, home).path
        ground = (tokenise(corpus, base, config.base.chat_template), base, home)
        for number in range(rounds):
            told, took = _bound_by_steps(config, ground, f"steps-{number}")
            elapsed.append(took)
            found["elapsed"].append(told / took)
            _say(f"round {number + 1}: estimated {told:.1f} s, took {took:.1f} s")
            told, took = _bound_by_window(config, ground, f"window-{number}")
            found["tokens"].append(told / took)
            _say(f"round {number + 1}: estimated {told:,.0f} tokens, made {took:,.0f}")
    return [
        *(measured(f"estimate.{name}_off", _off(ratios), "ratio", "lower", OFF) for name, ratios in found.items()),
        *(
            measured(f"estimate.{name}.round_{n}", ratio, "estimate / truth", "lower")
            for name, ratios in found.items()
            for n, ratio in enumerate(ratios, start=1)
        ),
        measured("estimate.shortest_run_s", min(elapsed), "s", "higher", 60.0),
    ]


def _off(ratios: list[float]) -> float:
    median = statistics.median(ratios)
    return max(median, 1 / median)


def _bound_by_steps(config: Config, ground: tuple[Path, Path, Any], name: str) -> tuple[float, float]:
    """Seconds foretold and taken."""
    from pe_ray.train.estimate import estimate
    from pe_ray.train.run import train

    examples, base, home = ground
    one = estimate(_with(config, steps=1), examples, base, seconds=CALIBRATE_S / 3)
    steps = max(1, math.ceil(RUN_S / one.step_s))
    asked = _with(config, steps=steps)
    told = estimate(asked, examples, base, seconds=CALIBRATE_S)
    stage = train(asked, examples, base, home, name).stage
    assert stage["stop_reason"] == "steps", stage["stop_reason"]
    return told.elapsed_s, stage["elapsed_s"]


def _bound_by_window(config: Config, ground: tuple[Path, Path, Any], name: str) -> tuple[float, float]:
    """Tokens foretold and made."""
    from pe_ray.train.estimate import estimate
    from pe_ray.train.run import train

    examples, base, home = ground
    asked = _with(config, steps=10**6, window_s=RUN_S)
    told = estimate(asked, examples, base, seconds=CALIBRATE_S)
    stage = train(asked, examples, base, home, name).stage
    assert stage["stop_reason"] == "window", stage["stop_reason"]
    return float(told.tokens), float(stage["tokens"])


def _with(config: Config, **train: Any) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
