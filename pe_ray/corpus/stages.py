"""What is done to every batch of records, in order: the list of stages, and the settings that they follow.

A stage takes a table and gives back a table with the same rows: it repairs messages or appends columns, and drops
nothing. Thresholds are no settings of a stage: `decide` applies them later, so that they can change without computing
anything again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa

from pe_ray.config import CorpusConfig
from pe_ray.corpus import clean, decontaminate, dedup, private
from pe_ray.corpus.knowledge.facts import Facts, facts
from pe_ray.corpus.quality import checks, crisis, empathy, language, markers, tiers
from pe_ray.corpus.reading import expand
from pe_ray.record import digest
from pe_ray.security.keys import surrogate_key
from pe_ray.store import manifest

PHASES = ("read", "clean", "judge", "de-duplicate", "balance", "write")
"""The six stages that a report tells the time of."""

LABELS = ("category", "difficulty", "question", "concept_id", "generated", "review", "topics")
"""Metadata that the decision and the report read of every record."""


@dataclass(frozen=True)
class Stage:
    """One step: its name, the phase that its time counts for, and what it does to a batch."""

    name: str
    phase: str
    apply: Callable[..., pa.Table]
    metered: bool = False
    """Its checks take a `meter`, which tells what each of them costs."""


@dataclass(frozen=True)
class Settings:
    """All that changes what the stages write. Hashable, so that a process builds its stages once."""

    pii_tier: str
    pii_key: bytes = field(repr=False)
    pii_ner: Path | None
    evaluation: tuple[tuple[str, str, tuple[str, ...], str], ...]
    """Name, path, columns and content hash of each evaluation set."""
    criteria: tuple[str, str] | None = None
    """Path and content hash of the diagnostic criteria that statements are held against, beside our own."""

    @classmethod
    def of(cls, config: CorpusConfig) -> Settings:
        """The settings of a run. Raises SourceError for an evaluation set that cannot be opened."""
        sets = []
        for spec in config.decontaminate:
            path = expand(spec.path)
            decontaminate.read_eval_set(path, spec.columns)  # told before anything is read
            sets.append((spec.name, str(path), spec.columns, manifest.file_hash(path)))
        return cls(config.pii.tier, surrogate_key(), config.pii.ner, tuple(sets), _criteria(config.criteria))

    @property
    def digest(self) -> str:
        """Names the settings; evaluation sets by what they hold, not by where they lie."""
        sets = [(name, columns, content) for name, _, columns, content in self.evaluation]
        criteria = (self.criteria[1],) if self.criteria else ()
        return digest(self.pii_tier, self.pii_key.hex(), str(self.pii_ner), json.dumps(sets), *criteria)


@lru_cache(maxsize=4)
def stages(settings: Settings) -> tuple[Stage, ...]:
    """The list, in order."""
    found = [
        Stage("clean", "clean", clean.apply),
        Stage(
            "pii", "clean", partial(private.apply, tier=settings.pii_tier, key=settings.pii_key, ner=settings.pii_ner)
        ),
        Stage("keys", "de-duplicate", dedup.apply),
        Stage("language", "judge", language.apply),
        Stage("checks", "judge", checks.apply, metered=True),
        Stage("markers", "judge", markers.apply),
        Stage("empathy", "judge", empathy.apply),
        Stage("crisis", "judge", crisis.apply),
        Stage("second", "judge", partial(tiers.apply, known=_known(settings)), metered=True),
        Stage("decontaminate", "judge", partial(decontaminate.apply, index=_evaluation(settings))),
        Stage("describe", "judge", describe),
    ]
    return tuple(found)


def annotate(
    table: pa.Table,
    settings: Settings,
    clock: Callable[[str], None] = lambda _: None,
    meter: tiers.Meter | None = None,
) -> pa.Table:
    """A batch through the list of stages; `clock` is called with each stage's phase when it is done."""
    for stage in stages(settings):
        table = stage.apply(table, meter=meter) if stage.metered else stage.apply(table)
        clock(stage.phase)
    return table


def describe(table: pa.Table) -> pa.Table:
    """Small columns for the decision and the report: labels, words on either side, a score for each check."""
    labels = [json.loads(m) for m in table["metadata"].to_pylist()]
    for name in LABELS:
        table = table.append_column(name, pa.array([row.get(name) for row in labels], pa.string()))
    messages = table["messages"].to_pylist()
    for role in ("user", "assistant"):
        said = [sum(len(m["text"].split()) for m in row if m["role"] == role) for row in messages]
        table = table.append_column(f"{role}_words", pa.array(said, pa.int32()))
    scores = [{v["check"]: v["score"] for v in row} for row in table["verdicts"].to_pylist()]
    for name in checks.NAMES:
        table = table.append_column(score_column(name), pa.array([s.get(name) for s in scores], pa.float32()))
    return table


def score_column(check: str) -> str:
    """The column that holds a check's score; null where the check had nothing to say."""
    return f"score_{check}"


def _criteria(path: Path | None) -> tuple[str, str] | None:
    """The criteria and a hash of them; raises ConfigError for what cannot be read."""
    if path is None:
        return None
    facts(str(path))
    files = sorted(path.rglob("*.criteria.txt")) if path.is_dir() else [path]
    return str(path), digest(*(manifest.file_hash(file) for file in files))


def _known(settings: Settings) -> Facts:
    return facts(settings.criteria[0] if settings.criteria else None)


def _evaluation(settings: Settings) -> decontaminate.EvalIndex:
    texts = {name: decontaminate.read_eval_set(path, columns) for name, path, columns, _ in settings.evaluation}
    return decontaminate.EvalIndex.of(texts)
