"""`pe-ray evaluate validators`: what each validator is worth on labelled sets that it was not tuned on.

    document(only=("crisis", "dedup"))

A part is a function that returns rows; each is imported when it is its turn, and a set or module that is not there
gives a row without a value, with the reason. A row names its set, split, number and 95 % interval.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from pe_ray.errors import UserError
from pe_ray.evaluate.document import about, load_average
from pe_ray.safety.learn.figures import row

PARTS = {
    "crisis": ("pe_ray.evaluate.crisis_public", "rows", ("crisis.recall", "crisis.precision")),
    "bias": ("pe_ray.evaluate.fair", "rows", ("bias.auc_in", "bias.auc_across")),
    "fairness": ("pe_ray.evaluate.fairness", "rows", ("fairness.planted_named",)),
    "mismatch": (
        "pe_ray.evaluate.pairs",
        "rows",
        ("mismatch.rejected_random", "mismatch.rejected_same_topic", "mismatch.rejected_nearest"),
    ),
    "shuffled": ("pe_ray.evaluate.shuffled", "results", ("shuffled.rejected", "shuffled.kept")),
    "emotion": ("pe_ray.evaluate.emotion", "rows", ("emotion.macro_f1",)),
    "replies": ("pe_ray.evaluate.replies", "results", ()),
    "dedup": ("pe_ray.evaluate.duplicates", "rows", ("dedup.precision", "dedup.recall")),
    "pii": ("pe_ray.evaluate.private", "rows", ("pii.recall",)),
}
"""Part -> module, function, and the rows that the contract names."""


def document(only: Sequence[str] = (), say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """The whole document; `only` some parts. Raises UserError for a part that there is not."""
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        raise UserError(f"--only={unknown[0]}: no such part; one of {', '.join(PARTS)} would be right")
    before = load_average()
    found: list[dict[str, Any]] = []
    for name in only or PARTS:
        say(f"{name}: measuring")
        found += part(name)
    return {**about("validators", before), "results": found}


def part(name: str) -> list[dict[str, Any]]:
    """The rows of one part; where it cannot be measured, rows that say why."""
    module, function, promised = PARTS[name]
    try:
        rows: list[dict[str, Any]] = getattr(importlib.import_module(module), function)()
        return rows
    except (ImportError, AttributeError, UserError, FileNotFoundError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return [row(n, None, {"set": "", "split": ""}, 0, reason=reason) for n in promised or (name,)]


def failed(found: dict[str, Any]) -> list[str]:
    """Names of figures that miss their bound."""
    return [r["name"] for r in found["results"] if r["ok"] is False]


def text(found: dict[str, Any]) -> str:
    """The document as a table."""
    lines = [f"{found['area']}  commit {found['commit']}  {found['machine']}  load {found['load']}"]
    lines.append(f"{'figure':<46}{'value':>9}{'95 %':>20}{'n':>8}{'bound':>8}  set, split")
    for r in found["results"]:
        value = "-" if r["value"] is None else f"{r['value']:.3f}"
        low_high = "" if not r.get("interval") else "[{:.3f}, {:.3f}]".format(*r["interval"])
        bound = "" if r["bound"] is None else f"{'>=' if r['better'] == 'higher' else '<='}{r['bound']:g}"
        told = r["reason"] if r["value"] is None else f"{r.get('set', '')}; {r.get('split', '')}"
        mark = "  MISSED" if r["ok"] is False else ""
        lines.append(f"{r['name']:<46}{value:>9}{low_high:>20}{r.get('n', 0):>8}{bound:>8}  {told}{mark}")
    return "\n".join(lines)
