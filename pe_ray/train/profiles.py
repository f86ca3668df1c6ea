"""The four profiles: sizes for 7-8B bases, which the tuner measures on the machine at hand.

| profile | micro-batch | accumulation | context | note |
|---|---|---|---|---|
| fast | 8 | 4 | 1,024 | no recompute |
| balanced | 4 | 8 | 2,048 | default |
| quality | 2 | 16 | 8,192 | full context |
| memory_efficient | 1 | 32 | 2,048 | recompute; 4-bit base where bitsandbytes works |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pe_ray.config import Config
from pe_ray.errors import UserError

DEFAULT = "balanced"


@dataclass(frozen=True)
class Profile:
    """Knobs of one optimizer step. `accumulation` counts the forward passes of all workers together."""

    name: str
    micro_batch: int
    accumulation: int
    context: int
    recompute: bool = False
    """Run a layer's forward pass again in the backward pass instead of keeping its activations."""
    quantise: Literal["none", "8bit", "4bit", "fp8"] = "none"
    """How the frozen weights are kept, on a GPU."""

    @property
    def rows(self) -> int:
        """Packed sequences of a step."""
        return self.micro_batch * self.accumulation

    @property
    def tokens(self) -> int:
        """Most tokens of a step."""
        return self.rows * self.context


PROFILES: dict[str, Profile] = {
    "fast": Profile("fast", micro_batch=8, accumulation=4, context=1024),
    "balanced": Profile("balanced", micro_batch=4, accumulation=8, context=2048),
    "quality": Profile("quality", micro_batch=2, accumulation=16, context=8192),
    "memory_efficient": Profile(
        "memory_efficient", micro_batch=1, accumulation=32, context=2048, recompute=True, quantise="4bit"
    ),
}


def resolve(profile_name: str | None, config: Config) -> Profile:
    """The profile as this run will use it: overrides of `train`, caps of `tune`, a micro-batch for every worker.

    `auto` and None stand for the default. Raises UserError for an unknown name, or where a step has fewer sequences
    than workers.
    """
    name = DEFAULT if profile_name in (None, "auto") else str(profile_name)
    if name not in PROFILES:
        raise UserError(f"train.profile={name}: is not one of {', '.join(PROFILES)}")
    profile, train = PROFILES[name], config.train
    if config.base.quantise != "none":
        profile = replace(profile, quantise=config.base.quantise)
    context = train.context or min(profile.context, config.tune.max_context or profile.context)
    profile = replace(profile, context=context)
    capped = _cap(profile, config.tune.max_tokens_per_step)
    profile = replace(
        profile,
        micro_batch=train.micro_batch or capped.micro_batch,
        accumulation=train.accumulation or capped.accumulation,
    )
    return _spread(profile, max(1, train.workers), fixed=train.micro_batch is not None)


def _cap(profile: Profile, max_tokens: int | None) -> Profile:
    """Fewer accumulated passes, then smaller micro-batches, then a shorter context, until a step is small enough."""
    if max_tokens is None or profile.tokens <= max_tokens:
        return profile
    context = min(profile.context, max_tokens)
    rows = max_tokens // context
    micro_batch = min(profile.micro_batch, rows)
    return replace(profile, context=context, micro_batch=micro_batch, accumulation=rows // micro_batch)


def _spread(profile: Profile, workers: int, *, fixed: bool) -> Profile:
    """At least one forward pass for every worker: as many sequences, in smaller micro-batches."""
    if profile.accumulation >= workers:
        return profile
    if profile.rows < workers or fixed:
        raise UserError(
            f"train.workers={workers}: is more than the {profile.accumulation} forward passes of a step "
            f"(micro-batch {profile.micro_batch}, context {profile.context}); raise train.accumulation to {workers}"
        )
    return replace(profile, micro_batch=profile.rows // workers, accumulation=workers)
