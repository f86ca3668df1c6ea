"""What happened to every row, on one page that opens anywhere: no script, no network, no word of any record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from typing import Any

import jinja2
import yaml

from pe_ray.config import CorpusConfig
from pe_ray.corpus import plots
from pe_ray.corpus.decide import HELD, KEPT, REJECTED, Decided, thresholds
from pe_ray.corpus.ledger import Ledger
from pe_ray.corpus.quality import crisis
from pe_ray.corpus.sources.edge_case import CATEGORIES, DIFFICULTIES

MOST_ERRORS = 200
"""Unreadable rows on the page; quarantine.jsonl has all."""


def render(
    config: CorpusConfig,
    decided: Decided,
    ledger: Ledger,
    quarantine: Sequence[Mapping[str, Any]],
    fingerprint: str,
    problem: str | None,
) -> str:
    """The report as HTML; `problem` is the gate that was not met, if any."""
    column = {name: decided.table[name].to_pylist() for name in decided.table.schema.names}
    page = _environment().from_string(_template())
    return page.render(
        config=config,
        ledger=ledger,
        fingerprint=fingerprint,
        problem=problem,
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        images=_images(config, column, ledger),
        rejects=_rejects(column),
        held=_held(column),
        changes=_changes(column),
        domains=_domains(column),
        kinds=_kinds(column),
        categories=_categories(column),
        difficulties=DIFFICULTIES,
        errors=[dict(u) for u in quarantine[:MOST_ERRORS]],
        num_errors=len(quarantine),
    )


def _images(config: CorpusConfig, column: Mapping[str, list[Any]], ledger: Ledger) -> dict[str, str]:
    kept = [i for i, s in enumerate(column["status"]) if s == KEPT]
    lengths = {
        "what the user says": [column["user_words"][i] for i in kept],
        "what the assistant says": [column["assistant_words"][i] for i in kept],
    }
    by_check: dict[str, list[float]] = {name: [] for name in (*thresholds(config.checks), crisis.NAME)}
    for verdicts in column["verdicts"]:
        for v in verdicts:
            by_check[v["check"]].append(v["score"])
    return {
        "funnel": plots.image(partial(plots.funnel, steps=funnel_steps(column, ledger)), 7.6, 3.0),
        "shares": plots.image(partial(plots.shares, actual=ledger.shares, targets=ledger.targets), 7.6, 2.6),
        "scores": plots.image(partial(plots.scores, by_check=by_check, least=thresholds(config.checks)), 10, 2.5),
        "lengths": plots.image(partial(plots.lengths, by_side=lengths), 7.6, 2.4),
    }


def funnel_steps(column: Mapping[str, list[Any]], ledger: Ledger) -> list[tuple[str, int]]:
    """What is left after each step; the last is what the ledger calls kept."""
    lost = Counter(s if st == REJECTED else st for s, st in zip(column["stage"], column["status"], strict=True))
    left = ledger.total.records_in
    steps = [("rows read", left)]
    gone = {
        "readable": ledger.total.errors,
        "usable": lost["clean"],
        "unique": lost["dedup"],
        "not held for review": lost[HELD],
        **{f"passed {check}": lost[check] for check in ("coherence", "generic", "bias")},
        "kept in balance": lost["balance"],
    }
    for name, number in gone.items():
        left -= number
        steps.append((name, left))
    return steps


def _rejects(column: Mapping[str, list[Any]]) -> list[tuple[str, str, int]]:
    rows = zip(column["stage"], column["reason"], column["status"], strict=True)
    counted = Counter((stage, _kind(reason)) for stage, reason, status in rows if status == REJECTED)
    return [(stage, reason, n) for (stage, reason), n in sorted(counted.items(), key=lambda kv: (kv[0][0], -kv[1]))]


def _kind(reason: str) -> str:
    """A reason without what is particular to one record."""
    reason = re.sub(r"same text as \w+", "same text as another record", reason)
    return re.sub(r"score [\d.]+ is under ([\d.]+).*", r"score under \1", reason)


def _held(column: Mapping[str, list[Any]]) -> list[tuple[str, int, dict[str, int]]]:
    """Reason, records, and of which sources; a record with two reasons counts under both."""
    by_reason: dict[str, Counter[str]] = {}
    for reasons, source in zip(column["held_for"], column["source"], strict=True):
        for reason in reasons or []:
            by_reason.setdefault(reason, Counter())[source] += 1
    return [
        (r, c.total(), dict(sorted(c.items()))) for r, c in sorted(by_reason.items(), key=lambda kv: -kv[1].total())
    ]


def _changes(column: Mapping[str, list[Any]]) -> list[tuple[str, int]]:
    return Counter(name for changes in column["changes"] for name in changes).most_common()


def _domains(column: Mapping[str, list[Any]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for domain, side in zip(column["domain"], column["split"], strict=True):
        if side:
            found.setdefault(domain, Counter())[side] += 1
    return dict(sorted(found.items()))


def _kinds(column: Mapping[str, list[Any]]) -> dict[str, Counter[str]]:
    """Kept records by content type, and whether their question was extracted or written for the answer."""
    found: dict[str, Counter[str]] = {}
    rows = zip(column["content_type"], column["question"], column["status"], strict=True)
    for content_type, question, status in rows:
        if status == KEPT:
            found.setdefault(content_type, Counter())[question or "unstated"] += 1
    return dict(sorted(found.items()))


def _categories(column: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Coverage of the edge-case categories: records by difficulty, and how many were kept or held."""
    by_difficulty: Counter[tuple[str, str]] = Counter()
    by_status: Counter[tuple[str, str]] = Counter()
    rows = zip(column["source"], column["category"], column["difficulty"], column["status"], strict=True)
    for source, category, difficulty, status in rows:
        if source == "edge_case":
            by_difficulty[category, difficulty] += 1
            by_status[category, status] += 1
    return (
        [
            {
                "name": name,
                "usual": usual,
                "always_held": name in crisis.HELD_CATEGORIES,
                "read": [by_difficulty[name, d] for d in DIFFICULTIES],
                "kept": by_status[name, KEPT],
                "held": by_status[name, HELD],
            }
            for name, usual in CATEGORIES.items()
        ]
        if by_status
        else []
    )


def _environment() -> jinja2.Environment:
    blocks = {"trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, **blocks)
    environment.filters["percent"] = lambda share, digits=1: f"{100 * share:.{digits}f} %"
    environment.filters["thousands"] = lambda n: f"{n:,}"
    return environment


def _template() -> str:
    return (resources.files("pe_ray.corpus") / "report.html.j2").read_text(encoding="utf-8")
