"""What a corpus is like in figures, and how far it has moved from the snapshot before it.

How far two spreads are apart is the population stability index over bins, sum((p - q) ln(p / q)). By custom under .1 is
little and .25 or more is much, but in a small corpus chance alone gives as much: two samples of n and m records of one
population over B bins come to about (1/n + 1/m) times a chi-square of B - 1. A shift is called one only where the index
is past both .1 and what chance gives once in a thousand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import chdtri  # scipy.stats takes a second to import

from pe_ray.corpus import tally
from pe_ray.corpus.sources.edge_case import CATEGORIES

SOME, MUCH = 0.1, 0.25
CHANCE = 0.999
FEWEST_IN_BIN = 10
"""Records of both corpora together; bins with fewer are joined with their neighbour, labels into one."""
FEWEST = 20
"""Records of either corpus under which nothing is compared."""
LABELS = ("source", "domain", "content_type", "category", "difficulty", "question", "language", "generated")
"""Whose shares of the kept records are compared."""
UNSTATED, OTHER = "unstated", "another label"
MOST_MOVES = 3


@dataclass(frozen=True)
class Shift:
    """How far one figure is from what it was. `psi` is None where there were too few records to compare."""

    name: str
    kind: str
    """score, score of a source, or label."""
    psi: float | None
    chance: float
    """What chance alone stays under in 999 of 1,000 cases."""
    moved: str
    """What moved, in figures."""
    before: float | None = None
    """Of a score, the mean that it had."""

    @property
    def size(self) -> str:
        """none, some or much."""
        if self.psi is None or self.psi < SOME or self.psi <= self.chance:
            return "none"
        return "much" if self.psi >= MUCH else "some"

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"size": self.size}


@dataclass(frozen=True)
class Drift:
    """Against which snapshot, and every figure's shift; the largest first."""

    fingerprint: str
    made_at: str
    shifts: Sequence[Shift]

    @property
    def shifted(self) -> list[Shift]:
        """Those beyond chance."""
        return [s for s in self.shifts if s.size != "none"]

    @property
    def words(self) -> str:
        """The comparison in plain words."""
        compared = sum(s.psi is not None for s in self.shifts)
        if not compared:
            return f"There are too few records to compare (fewer than {FEWEST} on either side)."
        if not self.shifted:
            return f"None of {compared} figures moved by more than chance explains."
        told = "; ".join(
            f"{s.name} moved {'much' if s.size == 'much' else 'somewhat'} ({s.moved})" for s in self.shifted
        )
        return f"{len(self.shifted)} of {compared} figures moved by more than chance explains: {told}."


def describe(keys: pa.Table, least: Mapping[str, float]) -> dict[str, Any]:
    """What a corpus is like, from its decided key columns; counts and means only."""
    keys = _plain(keys)
    kept = keys.filter(pc.equal(keys["status"], tally.KEPT))
    return {
        "records": dict(sorted(tally.counts(keys["status"]).items())),
        "scores": {s.check: _score(s, keys, kept) for s in tally.scores(keys, least)},
        "by_source": _by_source(keys),
        "labels": {name: _shares(kept[name]) for name in LABELS},
        "crisis_level": _shares(keys["crisis_level"].cast(pa.string())),
        "categories": _categories(keys),
    }


def _plain(keys: pa.Table) -> pa.Table:
    """With labels that no row can put words into: a category of the design or another, a template or a model."""
    category, made = keys["category"], keys["generated"]
    known = pc.is_in(category, pa.array(CATEGORIES, pa.string()))
    values = {
        "category": pc.if_else(pc.or_(known, pc.is_null(category)), category, OTHER),
        "generated": pc.if_else(pc.or_(pc.equal(made, "template"), pc.is_null(made)), made, "model"),
    }
    for name, column in values.items():
        keys = keys.set_column(keys.schema.get_field_index(name), name, column)
    return keys


def _score(found: tally.Scores, keys: pa.Table, kept: pa.Table) -> dict[str, Any]:
    column = tally.SCORE + found.check
    values = keys[column].drop_null().to_numpy().astype(np.float64)
    tenth, half = (None, None) if not len(values) else (_figure(q) for q in np.quantile(values, (0.1, 0.5)))
    return {
        "judged": found.judged,
        "mean": _mean(values),
        "mean_kept": _mean(kept[column].drop_null().to_numpy().astype(np.float64)),
        "tenth": tenth,
        "median": half,
        "least": found.least,
        "under": found.under,
        "bins": list(found.counts),
    }


def _by_source(keys: pa.Table) -> dict[str, dict[str, Any]]:
    """The spread of each check's scores within each source: a bad batch of one is little among all."""
    found: dict[str, dict[str, Any]] = {}
    for source in sorted(tally.counts(keys["source"])):
        scores = tally.scores(keys.filter(pc.equal(keys["source"], source)), {})
        found[source] = {s.check: {"bins": list(s.counts), "mean": _middle(s.counts)} for s in scores if s.judged}
    return found


def _middle(bins: Sequence[int]) -> float:
    """The mean of scores that are known by their bins."""
    return round(float(np.average((np.arange(len(bins)) + 0.5) / len(bins), weights=bins)), 4)


def _shares(column: pa.ChunkedArray) -> dict[str, int]:
    return tally.counts(pc.fill_null(column, UNSTATED))


def _categories(keys: pa.Table) -> dict[str, dict[str, Any]]:
    """Records and mean score of each check by category, of all that have one."""
    keys = keys.filter(pc.is_valid(keys["category"]))
    checks = [n for n in keys.schema.names if n.startswith(tally.SCORE)]
    wanted = [*((n, "mean") for n in checks), *((n, "count") for n in checks), ([], "count_all")]
    found: dict[str, dict[str, Any]] = {}
    for row in keys.group_by("category").aggregate(wanted).to_pylist():
        scores = {
            n.removeprefix(tally.SCORE): [row[f"{n}_count"], _figure(row[f"{n}_mean"])]
            for n in checks
            if row[f"{n}_count"]
        }
        found[row["category"]] = {"records": row["count_all"], "scores": scores}
    for category, status in zip(keys["category"].to_pylist(), keys["status"].to_pylist(), strict=True):
        found[category][status] = found[category].get(status, 0) + 1
    return dict(sorted(found.items()))


def _mean(values: np.ndarray) -> float | None:
    return _figure(values.mean()) if len(values) else None


def _figure(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


# --- two corpora -----------------------------------------------------------------------------------------------------


def compare(now: Mapping[str, Any], before: Mapping[str, Any], fingerprint: str, made_at: str) -> Drift:
    """How far a corpus is from the one before it; both as `describe` gives them."""
    shifts = [
        _score_shift(check, told, before["scores"][check])
        for check, told in now["scores"].items()
        if check in before["scores"]
    ]
    shifts += [
        _score_shift(f"{check} of {source}", told, before["by_source"][source][check], "score of a source")
        for source, checks in now["by_source"].items()
        for check, told in checks.items()
        if check in before["by_source"].get(source, {})
    ]
    labels = {**now["labels"], "crisis level": now["crisis_level"]}
    earlier = {**before["labels"], "crisis level": before["crisis_level"]}
    shifts += [_label_shift(name, counts, earlier[name]) for name, counts in labels.items() if name in earlier]
    return Drift(fingerprint, made_at, sorted(shifts, key=lambda s: (-(s.psi or 0), s.name)))


def _score_shift(name: str, now: Mapping[str, Any], before: Mapping[str, Any], kind: str = "score") -> Shift:
    psi, chance = index(*_joined(now["bins"], before["bins"]))
    moved = "–" if None in (now["mean"], before["mean"]) else f"mean {before['mean']:.3f} to {now['mean']:.3f}"
    return Shift(name, kind, psi, chance, moved, before["mean"])


def _label_shift(name: str, now: Mapping[str, int], before: Mapping[str, int]) -> Shift:
    both = Counter(now) + Counter(before)
    common = sorted(value for value, n in both.items() if n >= FEWEST_IN_BIN)
    sides = [[side.get(v, 0) for v in common] for side in (now, before)]
    for side, counts in zip(sides, (now, before), strict=True):
        side.append(sum(counts.values()) - sum(side))
    psi, chance = index(*(np.array(side) for side in sides))
    totals = [max(1, sum(counts.values())) for counts in (now, before)]
    change = {v: (before.get(v, 0) / totals[1], now.get(v, 0) / totals[0]) for v in both}
    most = sorted(change.items(), key=lambda kv: (-abs(kv[1][1] - kv[1][0]), kv[0]))[:MOST_MOVES]
    told = [f"{value} {100 * a:.1f} % to {100 * b:.1f} %" for value, (a, b) in most if round(a, 3) != round(b, 3)]
    return Shift(name, "label", psi, chance, ", ".join(told) or "–")


def index(now: np.ndarray, before: np.ndarray) -> tuple[float | None, float]:
    """The population stability index of two counts over the same bins, and what chance alone stays under.

    Half a record is added to each bin, so that an empty one does not make it infinite. None for too few records.
    """
    n, m = int(now.sum()), int(before.sum())
    used = (now + before) > 0
    if min(n, m) < FEWEST:
        return None, 0.0
    p, q = ((side[used] + 0.5) / (side[used] + 0.5).sum() for side in (now, before))
    bins = int(used.sum())
    chance = (1 / n + 1 / m) * chdtri(bins - 1, 1 - CHANCE) if bins > 1 else 0.0
    return round(float(((p - q) * np.log(p / q)).sum()), 4), round(float(chance), 4)


def _joined(now: Sequence[int], before: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring bins, joined until each holds enough of both together."""
    bins: list[list[int]] = [[0, 0]]
    for a, b in zip(now, before, strict=True):
        if sum(bins[-1]) >= FEWEST_IN_BIN:
            bins.append([0, 0])
        bins[-1][0] += a
        bins[-1][1] += b
    if len(bins) > 1 and sum(bins[-1]) < FEWEST_IN_BIN:
        last = bins.pop()
        bins[-1] = [bins[-1][0] + last[0], bins[-1][1] + last[1]]
    found = np.array(bins)
    return found[:, 0], found[:, 1]
