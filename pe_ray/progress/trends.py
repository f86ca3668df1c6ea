"""Whether a series of scores moves: `reliable-slope v1`.

The slope of ordinary least squares is judged against the known measurement error of the scale, not against the scatter
of a few points, so that six scores can already say something. With x in days, b the slope and Sxx = sum (x - mean)^2:

    z = b / (s / sqrt(Sxx))          s = SEM of the instrument
    over-dispersed residuals (chi-square = SSR / SEM^2, n - 2 degrees, p < .01):  s = max(SEM, sqrt(SSR / (n - 2)))
    n >= 8:  s x sqrt((1 + r1) / (1 - r1)),  r1 = lag-1 autocorrelation of the residuals + 1/n, held in [0, .6]

    trend          |z| > 1.96 and |b x span| >= min(reliable change, 5); down is improving, up is regressing
    fluctuating    over-dispersed and no trend            stable    neither
    insufficient   fewer than 4 scores or less than 14 days; with 4 to 7 scores the class is provisional

A statement about a line of numbers, not about a person: it is no diagnosis. `tests/progress/test_trends.py` simulates
how often it is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from pe_ray.progress.instruments import Instrument

RULE = "reliable-slope v1"
MIN_POINTS, MIN_SPAN_DAYS, FIRM_POINTS = 4, 14.0, 8
CRITICAL, OVERDISPERSION_P, SMALLEST_CHANGE = 1.96, 0.01, 5.0

Label = Literal["improving", "regressing", "stable", "fluctuating", "insufficient"]


@dataclass(frozen=True)
class Trend:
    """What a series shows. Slopes are points per week, changes are points over the whole window; CI is 95 %."""

    label: Label
    provisional: bool
    num_points: int
    span_days: float
    slope_per_week: float | None = None
    slope_ci: tuple[float, float] | None = None
    change: float | None = None
    change_ci: tuple[float, float] | None = None
    z: float | None = None
    noise: float | None = None
    overdispersed: bool | None = None
    halves_agree: bool | None = None
    """Whether both halves of the series move the same way; a provisional trend without it is weak."""
    robust_slope_per_week: float | None = None
    """Theil-Sen: the median slope between two scores."""
    rule: str = RULE


@dataclass(frozen=True)
class _Fit:
    slope: float
    sxx: float
    residuals: tuple[float, ...]


def classify(days: Sequence[float], scores: Sequence[float], instrument: Instrument) -> Trend:
    """The trend in scores taken at `days` (any origin, any order, uneven spacing)."""
    points = sorted(zip(days, scores, strict=True))
    x, y = [p[0] for p in points], [float(p[1]) for p in points]
    n, span = len(x), (x[-1] - x[0] if x else 0.0)
    if n < MIN_POINTS or span < MIN_SPAN_DAYS:
        return Trend("insufficient", n < FIRM_POINTS, n, span)
    fit = _fit(x, y)
    noise, overdispersed = _noise(fit.residuals, instrument.sem)
    z, change = fit.slope / (noise / math.sqrt(fit.sxx)), fit.slope * span
    margin = CRITICAL * noise / math.sqrt(fit.sxx)
    return Trend(
        label=_label(z, change, overdispersed, min(instrument.reliable_change, SMALLEST_CHANGE)),
        provisional=n < FIRM_POINTS,
        num_points=n,
        span_days=span,
        slope_per_week=fit.slope * 7,
        slope_ci=((fit.slope - margin) * 7, (fit.slope + margin) * 7),
        change=change,
        change_ci=(change - margin * span, change + margin * span),
        z=z,
        noise=noise,
        overdispersed=overdispersed,
        halves_agree=_halves_agree(x, y, fit.slope),
        robust_slope_per_week=_theil_sen(x, y) * 7,
    )


def reliable_change(first: float, last: float, instrument: Instrument) -> str:
    """Jacobson and Truax 1991: recovered, improved, unchanged or deteriorated, from first to last score.

    Recovered is a reliable fall that also crosses from caseness to below it.
    """
    fall = first - last
    if fall <= -instrument.reliable_change:
        return "deteriorated"
    if fall < instrument.reliable_change:
        return "unchanged"
    return "recovered" if first >= instrument.caseness > last else "improved"


def chi_square_tail(value: float, degrees: int) -> float:
    """Probability of a chi-square variable above `value`, by the recurrence over degrees of freedom (two at a time)."""
    half = value / 2
    if degrees % 2:
        tail, term, k = math.erfc(math.sqrt(half)), math.exp(-half) * math.sqrt(half) / math.gamma(1.5), 1
    else:
        tail, term, k = math.exp(-half), math.exp(-half) * half, 2
    while k < degrees:
        tail += term
        k += 2
        term *= half / (k / 2)
    return min(tail, 1.0)


def _label(z: float, change: float, overdispersed: bool, least: float) -> Label:
    if abs(z) > CRITICAL and abs(change) >= least:
        return "improving" if change < 0 else "regressing"
    return "fluctuating" if overdispersed else "stable"


def _fit(x: Sequence[float], y: Sequence[float]) -> _Fit:
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    sxx = sum((a - mean_x) ** 2 for a in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sxx if sxx else 0.0
    return _Fit(slope, sxx, tuple(b - mean_y - slope * (a - mean_x) for a, b in zip(x, y, strict=True)))


def _noise(residuals: Sequence[float], sem: float) -> tuple[float, bool]:
    n, ssr = len(residuals), sum(e * e for e in residuals)
    overdispersed = chi_square_tail(ssr / sem**2, n - 2) < OVERDISPERSION_P
    noise = max(sem, math.sqrt(ssr / (n - 2))) if overdispersed else sem
    if n >= FIRM_POINTS:
        lagged = sum(a * b for a, b in pairwise(residuals))
        r1 = min(max((lagged / ssr if ssr else 0.0) + 1 / n, 0.0), 0.6)
        noise *= math.sqrt((1 + r1) / (1 - r1))
    return noise, overdispersed


def _halves_agree(x: Sequence[float], y: Sequence[float], slope: float) -> bool:
    middle = len(x) // 2
    halves = (_fit(x[:middle], y[:middle]).slope, _fit(x[-middle:], y[-middle:]).slope)
    return all(half * slope > 0 for half in halves)


def _theil_sen(x: Sequence[float], y: Sequence[float]) -> float:
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i + 1, len(x)) if x[j] > x[i]]
    return median(slopes) if slopes else 0.0
