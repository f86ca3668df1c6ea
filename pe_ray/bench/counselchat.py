"""De-duplication on real duplicates: the figures of `evaluate/duplicates.py` as rows of the corpus bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pe_ray.bench.document import Result, measured, not_measured

if TYPE_CHECKING:
    from pe_ray.evaluate.duplicates import Found

GATED = ("dedup_precision", "dedup_recall")


def run() -> list[Result]:
    """Precision and recall after cleaning, which have a bound, then of less than that."""
    from pe_ray.evaluate.duplicates import ABSENT, BOUND, measure

    found = measure()
    if not found:
        return [not_measured(f"counselchat.{name}", "share", "higher", BOUND, ABSENT) for name in GATED]
    rows = [row for name, told in found.items() for row in _graded(name, told)]
    return [*rows, measured("counselchat.pairs", found[""].pairs, "pairs", "higher")]


def _graded(name: str, found: Found) -> list[Result]:
    from pe_ray.evaluate.duplicates import BOUND

    prefix, bound = (f"counselchat.{name}", None) if name else ("counselchat", BOUND)
    shares = (found.both / max(found.said, 1), found.both / max(found.same, 1))
    return [
        measured(f"{prefix}.{key}", share, "share", "higher", bound) for key, share in zip(GATED, shares, strict=True)
    ]
