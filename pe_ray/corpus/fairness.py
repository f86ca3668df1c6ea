"""Is a group tied to a worse outcome in a corpus, and what can be done about it: found, named, mitigated.

    found = associations(texts, worse)             # which groups go with the outcome more often than chance allows
    weight_N = reweigh(texts, worse, groups)       # weights under which they do not
    table = augment(table, axes)                   # the same records about other groups as well

`worse` is one truth value a record, however it was found: a column of the corpus, a rule, a model. Associations are
odds ratios with Fisher's exact test and Holm's correction for the number of groups; re-weighing is that of Kamiran and
Calders (2012); augmentation swaps the words of `safety/data/groups.toml`. A corpus in which nothing is found may still
be unfair in ways that no such word shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pe_ray.record import Message, Record, digest, from_table, to_table
from pe_ray.safety.fairness import mentions, swap

LEAST = 20
"""Records that must name a group before anything is said of it."""
LEVEL = 0.01
"""Family-wise chance of naming a group where nothing is."""
LEAST_ODDS = 2.0
"""A smaller ratio is reported and not named: with enough records any difference is certain."""
NORMAL_95 = 1.959963984540054
COUNTERFACTUAL = "counterfactual_of"

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Association:
    """A group and the outcome: shares with and without it, odds ratio with its 95 % interval, corrected p."""

    group: str
    records: int
    share_with: float
    share_without: float
    odds_ratio: float
    interval: tuple[float, float]
    p: float

    @property
    def named(self) -> bool:
        """Whether the group is to be looked at: certain, and large enough to matter."""
        return self.p < LEVEL and (self.odds_ratio >= LEAST_ODDS or self.odds_ratio <= 1 / LEAST_ODDS)

    def line(self) -> str:
        """For a reader at a terminal."""
        low, high = self.interval
        return (
            f"{self.group}: the outcome in {self.share_with:.0%} of {self.records} records that name the group and in "
            f"{self.share_without:.0%} of the others; odds ratio {self.odds_ratio:.2f} (95 % {low:.2f} to {high:.2f}), "
            f"p = {self.p:.2g}"
        )


def groups_of(text: str) -> frozenset[str]:
    """The groups that a text names, as `axis: term`."""
    return frozenset(f"{m.axis}: {m.term}" for m in mentions(text))


def associations(
    texts: Sequence[str], worse_N: Bools, weight_N: Floats | None = None, least: int = LEAST
) -> list[Association]:
    """Every group that enough texts name, the strongest first. Weights count as fractions of records."""
    from scipy.stats import fisher_exact

    named = [groups_of(t) for t in texts]
    weight_N = np.ones(len(texts)) if weight_N is None else np.asarray(weight_N, float)
    worse_N = np.asarray(worse_N, bool)
    found = []
    for group in sorted({g for groups in named for g in groups}):
        has_N = np.array([group in groups for groups in named])
        if has_N.sum() < least or (~has_N).sum() < least:
            continue
        cells = [float(weight_N[a & b].sum()) for a in (has_N, ~has_N) for b in (worse_N, ~worse_N)]
        p = float(fisher_exact(np.rint(np.array(cells).reshape(2, 2)).astype(int))[1])
        found.append(_association(group, int(has_N.sum()), cells, p))
    return sorted(_holm(found), key=lambda a: (a.p, -abs(math.log(a.odds_ratio)), a.group))


def reweigh(texts: Sequence[str], worse_N: Bools, groups: Iterable[str]) -> Floats:
    """Weights with mean 1 under which the outcome does not depend on whether one of the groups is named.

    A record weighs P(group) P(outcome) / P(group, outcome), for each group in turn. A combination that does not occur
    cannot be weighed into being: then only augmentation helps.
    """
    worse_N = np.asarray(worse_N, bool)
    named = [groups_of(t) for t in texts]
    weight_N = np.ones(len(texts))
    chosen = list(groups)
    for _ in range(20 if len(chosen) > 1 else 1):
        for group in chosen:
            has_N = np.array([group in found for found in named])
            weight_N = _balanced(weight_N, has_N, worse_N)
    return weight_N * len(texts) / max(weight_N.sum(), 1e-9)


def augment(table: pa.Table, axes: Sequence[str] | None = None, each: int = 1) -> pa.Table:
    """The table with counterfactual copies of every record that names a group: its words swapped for others.

    A copy has an id of its own, the same outcome and labels, and `metadata.counterfactual_of`. All messages of a record
    are swapped alike.
    """
    copies = [copy for record in from_table(table) for copy in counterfactuals(record, axes, each)]
    if not copies:
        return table
    added = to_table(copies)
    missing = [name for name in table.column_names if name not in added.column_names]
    for name in missing:
        added = added.append_column(name, pa.nulls(len(added), table.schema.field(name).type))
    return pa.concat_tables([table, added.select(table.column_names).cast(table.schema)])


def counterfactuals(record: Record, axes: Sequence[str] | None = None, each: int = 1) -> list[Record]:
    """The record about other groups."""
    joined = SEPARATOR.join(m.text for m in record.messages)
    found = []
    for variant in swap(joined, each, axes):
        texts = variant.text.split(SEPARATOR)
        if len(texts) != len(record.messages):
            continue
        messages = tuple(Message(m.role, t) for m, t in zip(record.messages, texts, strict=True))
        metadata = {**record.metadata, COUNTERFACTUAL: record.id, "swapped": f"{variant.axis}: {variant.now}"}
        found.append(replace(record, id=digest(record.id, variant.text), messages=messages, metadata=metadata))
    return found


SEPARATOR = "\n\x1e\n"
"""Between messages while they are swapped; a text that holds it is left alone."""


def summary(found: Sequence[Association]) -> list[Mapping[str, Any]]:
    """Associations as plain values, for a report."""
    return [{**vars(a), "interval": list(a.interval), "named": a.named} for a in found]


def _association(group: str, records: int, cells: Sequence[float], p: float) -> Association:
    a, b, c, d = (x + 0.5 for x in cells)
    odds = a * d / (b * c)
    spread = NORMAL_95 * math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    with_, without = cells[0] / max(cells[0] + cells[1], 1e-9), cells[2] / max(cells[2] + cells[3], 1e-9)
    return Association(group, records, with_, without, odds, (odds * math.exp(-spread), odds * math.exp(spread)), p)


def _holm(found: Sequence[Association]) -> list[Association]:
    """p values corrected for how many groups were looked at (Holm 1979)."""
    ordered = sorted(found, key=lambda a: a.p)
    corrected, least = [], 0.0
    for n, a in enumerate(ordered):
        least = max(least, min(1.0, a.p * (len(ordered) - n)))
        corrected.append(replace(a, p=least))
    return corrected


def _balanced(weight_N: Floats, has_N: Bools, worse_N: Bools) -> Floats:
    total = weight_N.sum()
    factor_N = np.ones(len(weight_N))
    for group in (has_N, ~has_N):
        for outcome in (worse_N, ~worse_N):
            cell = group & outcome
            joint = weight_N[cell].sum()
            if joint > 0:
                factor_N[cell] = weight_N[group].sum() * weight_N[outcome].sum() / (total * joint)
    return weight_N * factor_N
