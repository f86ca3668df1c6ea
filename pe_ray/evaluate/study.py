"""Do the experts specialise, and does it pay? Four ways to spend a step over one frozen base, on one corpus.

    python -m pe_ray.evaluate.study --corpus .pe_ray/corpora/sample/<fingerprint> --steps 120 --seeds 3

Every arm starts from the same base and sees the same batches in the same order; a seed gives that order, the initial
values and the dropout. Nothing is chosen on the held-out split: the weights after the last step are scored. It prints
a table and claims nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from pe_ray.config import Config, ModelConfig
from pe_ray.config import load as load_config
from pe_ray.corpus.tokenise import tokenise
from pe_ray.errors import PeRayError, UserError
from pe_ray.evaluate import document
from pe_ray.evaluate.held_out import SPLITS, HeldOut, held_out
from pe_ray.evaluate.model import MAX_TOKENS, losses, routing
from pe_ray.evaluate.scoring import score
from pe_ray.evaluate.study_table import markdown
from pe_ray.model.base import fingerprint, load_base
from pe_ray.model.inject import inject, trainable
from pe_ray.record import DOMAINS
from pe_ray.store.manifest import write_bytes
from pe_ray.store.paths import Home
from pe_ray.train.base import ensure_base
from pe_ray.train.data import Examples, read_examples
from pe_ray.train.loop import fit
from pe_ray.train.objective import Experts
from pe_ray.train.packing import TrainBatches
from pe_ray.train.process import steady, threads_of
from pe_ray.train.profiles import Profile
from pe_ray.train.setup import device_of, settings_of, shape_of
from pe_ray.train.window import Window

SMALL = ("train.learning_rate=2e-3", "train.micro_batch=2", "train.accumulation=1", "train.context=512")
"""What a study takes without a run file: 1,024 tokens a step, which a CPU can do."""
DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Arm:
    """One way to spend the step; all arms share base, batches and steps."""

    name: str
    what: str
    config: ModelConfig


@dataclass(frozen=True)
class Ground:
    """What all arms stand on."""

    config: Config
    base: Path
    profile: Profile
    examples: Examples
    held: HeldOut

    def fresh(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The base as it lies on disk, without an adapter."""
        device = device_of()
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        return load_base(self.base, dtype=dtype, device=str(device), chat_template=self.config.base.chat_template)


def study(
    config: Config,
    corpus_dir: Path,
    home: Home,
    *,
    steps: int,
    seeds: Sequence[int],
    split: str = "validation",
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train every arm (or those named in `only`) under every seed and score it; the document that
    `study_table.markdown` prints.

    `config` gives base, model and train (learning rate, sizes of a step); its experts are the four domains. Raises
    UserError for what cannot be compared.
    """
    if steps < 1 or not seeds:
        raise UserError(f"--steps {steps}, {len(seeds)} seeds: both must be 1 or more")
    load_before = document.load_average()
    with steady(threads_of(config.train.threads, 1)):
        ground = prepare(config, corpus_dir, home, split)
        model, tokenizer = ground.fresh()
        body: dict[str, Any] = {"base": _scored(ground, model, tokenizer, seeds[0]), "arms": []}
        for arm in _chosen(arms(ground), only):
            runs = [run_arm(ground, arm, seed, steps, say) for seed in seeds]
            body["arms"].append({**asdict(arm), "config": arm.config.model_dump(mode="json"), "runs": runs})
    facts = {
        "corpus": {"name": ground.held.name, "fingerprint": ground.held.fingerprint, "split": split},
        "base_fingerprint": fingerprint(ground.base),
        "steps": steps,
        "tokens_per_step": ground.profile.tokens,
        "learning_rate": config.train.learning_rate,
        "seeds": list(seeds),
    }
    return document.header("study", load_before) | facts | body


def prepare(config: Config, corpus_dir: Path, home: Home, split: str) -> Ground:
    """Base, examples and held-out examples, from the shelf where they are there."""
    base = ensure_base(config, corpus_dir, home).path
    train = config.train
    profile = Profile("study", train.micro_batch or 2, train.accumulation or 1, train.context or 512)
    # numbered by DOMAINS for every arm, so that the batches are the same: one expert has no domain of its own
    examples = read_examples(tokenise(corpus_dir, base, config.base.chat_template), "train", DOMAINS)
    held = held_out(corpus_dir, base, split, chat_template=config.base.chat_template, max_tokens=MAX_TOKENS)
    return Ground(config, base, profile, examples, held)


def arms(ground: Ground) -> list[Arm]:
    """Plain LoRA of as many parameters as four experts, one expert, four without and four with domain routing."""
    given = ground.config.model
    if given.domain_coef == 0:
        raise UserError("model.domain_coef=0: is the arm with domain routing; give it a coefficient, for example 0.1")
    four = given.model_copy(update={"experts": DOMAINS})
    one = given.model_copy(update={"experts": ("one",), "top_k": 1})
    rank = matching_rank(num_trainable(ground, four), num_trainable(ground, one.model_copy(update={"rank": 1})))
    # alpha grows with the rank, so that every arm scales its deltas alike
    plain = one.model_copy(update={"rank": rank, "alpha": given.alpha * rank / given.rank})
    return [
        Arm("plain", f"plain LoRA, rank {rank}, as many parameters", plain),
        Arm("one", f"one expert, rank {given.rank}", one),
        Arm("four_unrouted", "four experts, domain_coef 0", four.model_copy(update={"domain_coef": 0.0})),
        Arm("four", f"four experts, domain_coef {given.domain_coef:g}", four),
    ]


def _chosen(found: list[Arm], only: Sequence[str]) -> list[Arm]:
    unknown = set(only) - {arm.name for arm in found}
    if unknown:
        known = ", ".join(arm.name for arm in found)
        raise UserError(f"--only {', '.join(sorted(unknown))}: no such arm; there are {known}")
    return [arm for arm in found if not only or arm.name in only]


def matching_rank(wanted: int, per_rank: int) -> int:
    """The rank of one expert whose parameters come closest to `wanted`; they grow in proportion to it."""
    return max(1, round(wanted / per_rank))


def num_trainable(ground: Ground, config: ModelConfig) -> int:
    """Parameters that training moves."""
    return sum(p.numel() for p in trainable(inject(ground.fresh()[0], config, seed=0)).values())


def run_arm(ground: Ground, arm: Arm, seed: int, steps: int, say: Callable[[str], None]) -> dict[str, Any]:
    """One training from the fresh base, scored at its end."""
    began = time.monotonic()
    model, tokenizer = ground.fresh()
    inject(model, arm.config, seed)
    shape = shape_of(ground.profile)
    settings = replace(settings_of(ground.config, steps), seed=seed)
    result = fit(
        model,
        TrainBatches(ground.examples, shape, seed, pad_id=tokenizer.pad_token_id),
        Experts(arm.config),
        profile=ground.profile,
        window=Window(DAY_S),
        settings=settings,
    )
    if result.stop_reason != "steps":
        raise PeRayError(f"{arm.name}, seed {seed}: stopped at step {result.state.step} ({result.stop_reason})")
    found = _scored(ground, model, tokenizer, seed)
    say(f"{arm.name}, seed {seed}: loss {found['losses']['all']['loss']:.4f}, {time.monotonic() - began:.0f} s")
    return {
        "seed": seed,
        "trainable_parameters": sum(p.numel() for p in trainable(model).values()),
        "tokens": result.state.tokens,
        "first_losses": result.state.first_losses,
        "skipped_steps": result.state.skipped_steps,
        **found,
    }


def _scored(ground: Ground, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> dict[str, Any]:
    examples = ground.held.examples
    found = score(model, examples, context=ground.profile.context, pad_id=tokenizer.pad_token_id)
    config = getattr(model, "experts_config", None)
    routed = routing(found, examples.domain_X, config.experts, config.top_k, seed=seed) if config else None
    return {"losses": losses(found, examples.domain_X), "routing": routed}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a study from the command line; the table, or with --json the document, on stdout."""
    args = _arguments().parse_args(argv)
    disable_progress_bar()  # a line per base that is loaded says nothing
    try:
        config = load_config(args.config, [*(() if args.config else SMALL), *args.set])
        seeds = range(config.train.seed, config.train.seed + args.seeds)
        chosen = {"split": args.split, "only": args.only}
        found = study(config, args.corpus, Home.find(), steps=args.steps, seeds=seeds, say=_say, **chosen)
    except PeRayError as error:
        _say(f"error: {error}")
        return error.exit_code
    text = json.dumps(found, indent=1, allow_nan=False) if args.json else markdown(found)
    if args.out:
        write_bytes(args.out, (text + "\n").encode())
    print(args.out.absolute() if args.out else text)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pe_ray.evaluate.study", description="Do the experts specialise?")
    parser.add_argument("--corpus", type=Path, required=True, help="directory of a finished corpus")
    parser.add_argument("--steps", type=int, default=120, help="optimizer steps of every arm")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from train.seed on")
    parser.add_argument("--only", action="append", default=[], metavar="ARM", help="this arm alone; may be repeated")
    parser.add_argument("--split", choices=SPLITS, default="validation")
    parser.add_argument("--config", type=Path, help="run file: base, model and train are read")
    parser.add_argument("--set", action="append", default=[], help="section.field=value; may stand several times")
    parser.add_argument("--out", type=Path, help="write there instead of stdout")
    parser.add_argument("--json", action="store_true", help="the whole document instead of the table")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
