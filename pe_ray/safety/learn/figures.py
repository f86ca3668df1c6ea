"""Figures with their intervals, as cards and evaluation documents list them.

Every row has name, value, unit, better, bound, ok, reason, set, split, n and interval (95 %, by resampling groups,
or Wilson's where it is a share). Legend: N texts, L labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pe_ray.safety.learn.head import Floats
from pe_ray.safety.learn.model import Model
from pe_ray.safety.learn.task import Examples

RESAMPLES = 200
NUM_BINS = 10
NORMAL_95 = 1.959963984540054


def row(
    name: str,
    value: float | None,
    told: Mapping[str, str],
    n: int,
    *,
    unit: str = "",
    better: str = "higher",
    bound: float | None = None,
    interval: Sequence[float] | None = None,
    reason: str = "",
) -> dict[str, Any]:
    """One figure; `told` has its set and split. None is not measured, with the reason."""
    measured = value is not None and math.isfinite(value)
    ok = None if not measured else bound is None or (value >= bound if better == "higher" else value <= bound)  # type: ignore[operator]
    return {
        "name": name,
        "value": round(float(value), 4) if measured else None,  # type: ignore[arg-type]
        "unit": unit,
        "better": better,
        "bound": bound,
        "ok": ok,
        "reason": reason,
        "set": told["set"],
        "split": told["split"],
        "n": n,
        "interval": None if interval is None else [round(float(x), 4) for x in interval],
    }


def macro_f1(
    model: Model, probability_NL: Floats, examples: Examples, told: Mapping[str, str], prefix: str = "emotion"
) -> list[dict[str, Any]]:
    """Macro-F1, micro-F1 and the F1 of every label, each said from its own threshold."""
    said_NL = probability_NL >= model.head.thresholds
    true_NL = examples.label_NL == 1
    counts = _counts(said_NL, true_NL)
    f1_L = _f1(*counts)
    low_high = bootstrap(lambda rows: float(_f1(*_counts(said_NL[rows], true_NL[rows])).mean()), examples.groups)
    micro = float(_f1(*(c.sum(keepdims=True) for c in counts))[0])
    n = len(examples.texts)
    found = [
        row(f"{prefix}.macro_f1", float(f1_L.mean()), told, n, interval=low_high),
        row(f"{prefix}.micro_f1", micro, told, n),
    ]
    return found + [
        row(f"{prefix}.f1.{label}", float(f1), told, int(true_NL[:, i].sum()))
        for i, (label, f1) in enumerate(zip(model.labels, f1_L, strict=True))
    ]


def ece(
    probability_NL: Floats, examples: Examples, told: Mapping[str, str], prefix: str = "emotion"
) -> list[dict[str, Any]]:
    """Expected calibration error over ten even bins of probability: over all labels together, and the worst label."""
    true_NL = (examples.label_NL == 1).astype(float)
    by_label = [calibration_error(p, y) for p, y in zip(probability_NL.T, true_NL.T, strict=True)]
    together = calibration_error(probability_NL.ravel(), true_NL.ravel())
    n = len(examples.texts)
    return [
        row(f"{prefix}.ece", together, told, n, better="lower"),
        row(f"{prefix}.ece_worst_label", max(by_label), told, n, better="lower"),
    ]


def calibration_error(probability_N: Floats, true_N: Floats) -> float:
    """Mean distance of a bin's probability from its share of hits, each bin by its size."""
    bin_N = np.minimum((probability_N * NUM_BINS).astype(int), NUM_BINS - 1)
    gap = np.bincount(bin_N, probability_N - true_N, NUM_BINS)
    return float(np.abs(gap).sum() / max(len(true_N), 1))


def auc(score_N: Floats, true_N: Floats) -> float:
    """Chance that a positive scores above a negative, ties half; NaN unless there are both."""
    true_N = np.asarray(true_N) == 1
    positive = int(true_N.sum())
    negative = len(true_N) - positive
    if not positive or not negative:
        return math.nan
    _, inverse, counts = np.unique(score_N, return_inverse=True, return_counts=True)
    rank_N = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((rank_N[true_N].sum() - positive * (positive + 1) / 2) / (positive * negative))


def bootstrap(
    figure: Callable[[Any], float], groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a figure over rows, when whole groups are drawn with replacement."""
    names, group_N = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(group_N, kind="stable")
    starts = np.searchsorted(group_N[order], np.arange(len(names) + 1))
    members = [order[a:b] for a, b in pairwise(starts)]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        chosen = rng.integers(0, len(names), len(names))
        found.append(figure(np.concatenate([members[i] for i in chosen])))
    return float(np.nanquantile(found, 0.025)), float(np.nanquantile(found, 0.975))


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not trials:
        return 0.0, 1.0
    p, z2 = hits / trials, NORMAL_95**2
    middle = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = NORMAL_95 / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _counts(said_NL: Any, true_NL: Any) -> tuple[Floats, Floats, Floats]:
    return (said_NL & true_NL).sum(axis=0), said_NL.sum(axis=0), true_NL.sum(axis=0)


def _f1(hits_L: Floats, said_L: Floats, true_L: Floats) -> Floats:
    return 2 * hits_L / np.maximum(said_L + true_L, 1)
