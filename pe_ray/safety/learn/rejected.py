"""What a score of pairs is worth: the share of wrong answers under it when so many of the true ones are kept.

Legend: N pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pe_ray.safety.learn.figures import auc, bootstrap, row
from pe_ray.safety.learn.head import Floats

KINDS = {"random": "random", "same_topic": "same_topic", "nearest_question": "nearest"}
"""Kinds of wrong answers, and what their figures are called."""
KEPT = (0.9, 0.95)


def rejected(score_N: Floats, kind_N: Any, kind: str, kept: float) -> float:
    """Share of one kind of wrong answers that score under all but `kept` of the true ones."""
    wrong, true = score_N[kind_N == kind], score_N[kind_N == "true"]
    return float((wrong < np.quantile(true, 1 - kept)).mean()) if len(wrong) and len(true) else float("nan")


def figures(
    score_N: Floats, kind_N: Any, groups: Sequence[str], told: Mapping[str, str], prefix: str = "mismatch"
) -> list[dict[str, Any]]:
    """Rejected at 90 and 95 % of true pairs kept and the AUC, by kind; questions are drawn for the intervals."""
    found = []
    for kind, name in KINDS.items():
        n = int((kind_N == kind).sum())
        if not n:
            continue
        for kept in KEPT:

            def share(rows: Any, kind: str = kind, kept: float = kept) -> float:
                return rejected(score_N[rows], kind_N[rows], kind, kept)

            interval = bootstrap(share, groups)
            end = "" if kept == KEPT[0] else f"_at_{kept:.0%}".rstrip("%")
            value = rejected(score_N, kind_N, kind, kept)
            found.append(row(f"{prefix}.rejected_{name}{end}", value, told, n, unit="share", interval=interval))
        rows = (kind_N == kind) | (kind_N == "true")
        found.append(row(f"{prefix}.auc_{name}", auc(score_N[rows], kind_N[rows] == "true"), told, n))
    return found


def at_threshold(
    score_N: Floats, kind_N: Any, threshold: float, told: Mapping[str, str], prefix: str = "mismatch"
) -> list[dict[str, Any]]:
    """What a threshold keeps of true pairs and rejects of each kind; NaN, which nobody judged, is kept."""
    low_N = np.nan_to_num(score_N, nan=1.0) < threshold
    found = [
        row(
            f"{prefix}.kept_at_threshold",
            float(1 - low_N[kind_N == "true"].mean()),
            told,
            int((kind_N == "true").sum()),
            unit="share",
        )
    ]
    for kind, name in KINDS.items():
        of_kind = kind_N == kind
        if of_kind.any():
            share = float(low_N[of_kind].mean())
            found.append(row(f"{prefix}.{name}_under_threshold", share, told, int(of_kind.sum()), unit="share"))
    return found
