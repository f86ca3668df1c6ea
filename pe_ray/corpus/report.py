"""What happened to every row, on one page that opens anywhere: no script, no network, no word of any record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import yaml

from pe_ray.config import CorpusConfig
from pe_ray.corpus import mask, plots, tally
from pe_ray.corpus.drift import Drift, compare
from pe_ray.corpus.history import Snapshot
from pe_ray.corpus.ledger import Ledger
from pe_ray.corpus.qa.halves import Halves
from pe_ray.corpus.quality.crisis import HELD_CATEGORIES
from pe_ray.corpus.quality.tiers import Cost
from pe_ray.corpus.sources.edge_case import CATEGORIES, DIFFICULTIES
from pe_ray.corpus.stages import PHASES

MOST_ERRORS = 200
"""Unreadable rows on the page; quarantine.jsonl has all."""
MOST_PAIRS = 12
MOST_SNAPSHOTS = 12
"""Snapshots that the curves over runs show."""


@dataclass(frozen=True)
class Example:
    """A rejected record without its words."""

    stage: str
    reason: str
    source: str
    content_type: str
    turns: Sequence[mask.Turn]


@dataclass(frozen=True)
class Spend:
    """What generated text came to, where a run of `pe-ray generate` says."""

    usd: float
    requests: int
    records: int


@dataclass(frozen=True)
class ReportData:
    """All that the page says. What is None was not measured, and the page says that."""

    name: str
    fingerprint: str
    ledger: Ledger
    settings: str
    """The resolved configuration, as YAML."""
    funnel: Sequence[tuple[str, int]]
    scores: Sequence[tally.Scores]
    rejects: Sequence[tuple[str, str, int]]
    held: Sequence[tuple[str, int, Mapping[str, int]]]
    domains: Mapping[str, Mapping[str, int]]
    kinds: Mapping[str, Mapping[str, int]]
    halves: Halves
    """Questions of what was spoken."""
    changes: Mapping[str, int]
    lengths: Mapping[str, np.ndarray]
    errors: Sequence[Mapping[str, Any]]
    problem: str | None = None
    """The gate that was not met."""
    matrix: Mapping[str, Mapping[str, tally.Cell]] | None = None
    examples: Sequence[Example] | None = None
    duplicates: tally.DuplicateFacts | None = None
    personal_data: Sequence[tuple[str, int, int]] | None = None
    languages: Sequence[tuple[str, int, int]] | None = None
    levels: Mapping[str, int] | None = None
    """Records by the gravest level that triage found."""
    concepts: Mapping[str, Any] | None = None
    """What `knowledge.concepts.count` gives."""
    cpu_s: Mapping[str, float] | None = None
    """CPU seconds by phase."""
    tiers: Sequence[Cost] | None = None
    """What each check of each tier took and found."""
    spend: Spend | None = None
    review: Mapping[str, Any] | None = None
    """The object `review` of the summary."""
    quality: Mapping[str, Any] | None = None
    """What `drift.describe` gives."""
    earlier: Sequence[Snapshot] = ()
    """The snapshots before this one, the last at the end."""
    drift: Drift | None = None
    """How far this is from the last of them."""
    at: str | None = None


def gather(
    config: CorpusConfig,
    keys: pa.Table,
    ledger: Ledger,
    quarantine: Sequence[Mapping[str, Any]],
    fingerprint: str,
    *,
    problem: str | None = None,
    clusters: pa.Table | None = None,
    rejected: pa.Table | None = None,
    concepts: Mapping[str, Any] | None = None,
    cpu_s: Mapping[str, float] | None = None,
    tiers: Sequence[Cost] | None = None,
    spend: Spend | None = None,
    review: Mapping[str, Any] | None = None,
    quality: Mapping[str, Any] | None = None,
    earlier: Sequence[Snapshot] = (),
) -> ReportData:
    """The page's content from the decided key columns and what else is known.

    `clusters` is what `duplicates.clusters` gives. `rejected` holds the records (at least id and messages) of the rows
    that `tally.examples_wanted` names, in that order.
    """
    least = {n.removesuffix("_min"): v for n, v in config.checks.model_dump().items() if n.endswith("_min")}
    return ReportData(
        name=config.name,
        fingerprint=fingerprint,
        ledger=ledger,
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        funnel=tally.funnel(keys, ledger, list(least)),
        scores=tally.scores(keys, least),
        rejects=tally.rejects(keys),
        held=tally.held(keys),
        domains=tally.by(keys, "domain", "split"),
        kinds=tally.by(keys, "content_type", "question"),
        halves=Halves.of(tally.by(keys, "content_type", "question"), config.questions),
        changes=tally.counts(keys["changes"].combine_chunks().flatten()),
        lengths=tally.lengths(keys),
        errors=quarantine,
        problem=problem,
        matrix=tally.matrix(keys),
        examples=None if rejected is None else _examples(keys, rejected),
        duplicates=None if clusters is None else tally.duplicates(keys, clusters),
        personal_data=None if config.pii.tier == "off" else tally.personal_data(keys),
        languages=tally.languages(keys),
        levels=tally.counts(keys["crisis_level"]),
        concepts=concepts,
        cpu_s=cpu_s,
        tiers=tiers,
        spend=spend,
        review=review,
        quality=quality,
        earlier=earlier,
        drift=_drift(quality, earlier),
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _drift(quality: Mapping[str, Any] | None, earlier: Sequence[Snapshot]) -> Drift | None:
    last = next((s for s in reversed(earlier) if s.quality), None)
    return compare(quality, last.quality, last.fingerprint, last.made_at) if quality and last and last.quality else None


def render(data: ReportData) -> str:
    """The report as HTML."""
    images = {
        "scores": plots.scores(data.scores) if data.scores else None,
        "lengths": plots.lengths(data.lengths),
        "history": plots.means(_means(data)) if data.drift else None,
        "likeness": plots.likeness(data.duplicates.likeness) if data.duplicates and data.duplicates.likeness else None,
    }
    return _template().render(
        data=data,
        ledger=data.ledger,
        images=images,
        examples=_by_reason(data.examples or ()),
        shifts={s.name: s for s in data.drift.shifts} if data.drift else {},
        usual=CATEGORIES,
        difficulties=DIFFICULTIES,
        always_held=HELD_CATEGORIES,
        phases=_phases(data),
        most_share=max([*data.ledger.shares.values(), *data.ledger.targets.values()], default=0),
        most_errors=MOST_ERRORS,
        most_pairs=MOST_PAIRS,
        hidden=(mask.HIDDEN, mask.NUMBER, mask.MOST_TURNS, mask.MOST_WORDS),
    )


def _examples(keys: pa.Table, rejected: pa.Table) -> list[Example]:
    rows = tally.examples_wanted(keys)
    told = keys.select(["id", "stage", "reason", "source", "content_type"]).take(pa.array(rows, pa.int64())).to_pylist()
    assert [t["id"] for t in told] == rejected["id"].to_pylist(), "the rejected records are not those that were wanted"
    return [
        Example(t["stage"], tally.kind(t["reason"]), t["source"], t["content_type"], mask.turns(messages))
        for t, messages in zip(told, rejected["messages"].to_pylist(), strict=True)
    ]


def _by_reason(examples: Sequence[Example]) -> dict[tuple[str, str], list[Example]]:
    found: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        found.setdefault((example.stage, example.reason), []).append(example)
    return found


def _means(data: ReportData) -> dict[str, list[float | None]]:
    """The mean score of kept records by check, from snapshot to snapshot; this one at the end."""
    told = [*(s.quality for s in data.earlier[1 - MOST_SNAPSHOTS :]), data.quality]
    scores = [t["scores"] if t else {} for t in told]
    return {check: [s.get(check, {}).get("mean_kept") for s in scores] for check in scores[-1]}


def _phases(data: ReportData) -> list[dict[str, Any]] | None:
    """Seconds, share and seconds per 1,000 rows of each phase; a phase of which nothing is known has None."""
    if data.cpu_s is None:
        return None
    total, rows = sum(data.cpu_s.values()) or 1.0, max(1, data.ledger.total.records_in)
    found: list[dict[str, Any]] = [{"name": name, "s": None} for name in PHASES if name not in data.cpu_s]
    found += [{"name": n, "s": s, "share": s / total, "per_1000": 1000 * s / rows} for n, s in data.cpu_s.items()]
    order = [*PHASES, *data.cpu_s]
    return sorted(found, key=lambda phase: order.index(phase["name"]))


@cache
def _template() -> jinja2.Template:
    """Compiled once a process: it costs more than all else about a small corpus."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share, digits=1: f"{100 * share:.{digits}f} %"
    environment.filters["width"] = lambda part, whole: f"{100 * part / whole if whole else 0:.2f}%"
    environment.filters["thousands"] = lambda n: f"{n:,}"
    return environment.from_string((resources.files("pe_ray.corpus") / "report.html.j2").read_text(encoding="utf-8"))
