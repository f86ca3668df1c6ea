"""What the report says, counted from the decided key columns; whole columns at a time, and no text.

Every function takes the table of `decide.Decided` (a row for each record) or the clusters of `duplicates.clusters`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pe_ray.corpus.ledger import Ledger
from pe_ray.corpus.sources.edge_case import CATEGORIES, DIFFICULTIES

KEPT, HELD, REJECTED = "kept", "held", "rejected"
SCORE = "score_"
BINS = 25
EXAMPLES_PER_REASON = 2
NO_FAULT = ("balance", "dedup", "review")
"""Stages whose rejects say nothing against a text, or were held before: they are shown no examples of."""

PARTICULAR = (
    (r"same text as [^\s,]+", "same text as another record"),
    (r"means the same as [^\s,]+", "means the same as another record"),
    (r"like [^\s,]+ of the index", "like a record of the index"),
    (r"rejected by decision [^\s,]+", "rejected by a reviewer"),
    (r", (?:Jaccard|cosine) [\d.]+$", ""),
    (r" in message \d+ \((\w+)\)$", r" (\1)"),
    (r"score [\d.]+ is under ([\d.]+).*", r"score under \1"),
)
"""What of a reason is about one record alone, and what is said for it."""


@dataclass(frozen=True)
class Cell:
    """Edge cases of one category and difficulty. `quality` is the mean score of their checks, None without any."""

    kept: int = 0
    held: int = 0
    rejected: int = 0
    quality: float | None = None

    @property
    def total(self) -> int:
        return self.kept + self.held + self.rejected


@dataclass(frozen=True)
class Scores:
    """How the scores of one check are spread over `BINS` bins of 0..1; `silent` records it had nothing to say about."""

    check: str
    least: float | None
    counts: Sequence[int]
    judged: int
    under: int
    silent: int


@dataclass(frozen=True)
class DuplicateFacts:
    """What was found to say the same."""

    removed: Mapping[str, int]
    """Records by kind: exact, near, semantic, indexed."""
    clusters: int
    sizes: Mapping[str, int]
    """Clusters by the number of their records."""
    largest: int
    likeness: Sequence[float]
    """Jaccard of each near-duplicate with the record that stays."""
    pairs: Sequence[tuple[str, str, int]]
    """Source of what was removed, source of what stays, records; the most frequent first."""


def funnel(keys: pa.Table, ledger: Ledger, checks: Sequence[str]) -> list[tuple[str, int]]:
    """What is left after each step; the last is what the ledger calls kept."""
    lost = Counter(keys["stage"].filter(pc.equal(keys["status"], REJECTED)).to_pylist())
    known = {"clean": "usable", "decontaminate": "in no evaluation set", "dedup": "unique"}
    last = {"balance": "kept in balance"}
    middle = [c for c in ("review", *checks, *sorted(lost)) if c not in (*known, *last) and (c != "review" or lost[c])]
    gone = [("readable", ledger.total.errors), *((said, lost[stage]) for stage, said in known.items())]
    gone.append(("not held for review", ledger.total.held_for_review))
    gone += [(f"passed {check}", lost[check]) for check in dict.fromkeys(middle)]
    gone += [(said, lost[stage]) for stage, said in last.items()]
    steps = [("rows read", ledger.total.records_in)]
    for name, number in gone:
        steps.append((name, steps[-1][1] - number))
    return steps


def matrix(keys: pa.Table) -> dict[str, dict[str, Cell]] | None:
    """Every category and difficulty of edge cases; None if no edge case was read."""
    keys = keys.filter(pc.equal(keys["source"], "edge_case"))
    if not len(keys):
        return None
    keys = keys.append_column("quality", pa.array(quality(keys), from_pandas=True))
    found: dict[tuple[str, str], dict[str, int]] = {}
    grouped = keys.group_by(["category", "difficulty", "status"]).aggregate([([], "count_all")])
    for row in grouped.to_pylist():
        found.setdefault((row["category"], row["difficulty"]), {})[row["status"]] = row["count_all"]
    means = keys.group_by(["category", "difficulty"]).aggregate([("quality", "mean")]).to_pylist()
    mean = {(m["category"], m["difficulty"]): m["quality_mean"] for m in means}
    return {c: {d: Cell(**found.get((c, d), {}), quality=mean.get((c, d))) for d in DIFFICULTIES} for c in CATEGORIES}


def quality(keys: pa.Table) -> np.ndarray:
    """(N,) mean of the scores of each record's checks; nan where no check said anything."""
    columns = [keys[n].to_numpy().astype(np.float64) for n in keys.schema.names if n.startswith(SCORE)]
    scores = np.stack(columns) if columns else np.full((1, len(keys)), np.nan)
    said = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(said, scores, 0).sum(0) / said.sum(0)
    return mean


def scores(keys: pa.Table, least: Mapping[str, float]) -> list[Scores]:
    """The spread of each check's scores, over all readable records."""
    found = []
    for name in keys.schema.names:
        if not name.startswith(SCORE):
            continue
        check, values = name.removeprefix(SCORE), keys[name].drop_null().to_numpy()
        counts, _ = np.histogram(values, bins=BINS, range=(0, 1))
        under = int(np.count_nonzero(np.round(values.astype(np.float64), 4) < least.get(check, 0)))
        found.append(Scores(check, least.get(check), counts.tolist(), len(values), under, len(keys) - len(values)))
    return found


def rejects(keys: pa.Table) -> list[tuple[str, str, int]]:
    """Stage, reason without what is particular to a record, and records; by stage, the most frequent first."""
    rows = keys.filter(pc.equal(keys["status"], REJECTED))
    counted = Counter((s, kind(r)) for s, r in zip(rows["stage"].to_pylist(), rows["reason"].to_pylist(), strict=True))
    return [(stage, reason, n) for (stage, reason), n in sorted(counted.items(), key=lambda kv: (kv[0][0], -kv[1]))]


def kind(reason: str) -> str:
    """A reason without what is particular to one record."""
    for pattern, said in PARTICULAR:
        reason = re.sub(pattern, said, reason)
    return reason


def examples_wanted(keys: pa.Table) -> list[int]:
    """Rows of a few rejects for each reason: those with the smallest ids, so that the choice does not move."""
    rows = np.flatnonzero(pc.equal(keys["status"], REJECTED).to_numpy(zero_copy_only=False))
    told = keys.select(["id", "stage", "reason"]).take(pa.array(rows)).to_pylist()
    shown: Counter[tuple[str, str]] = Counter()
    wanted = []
    for _, row, told_of in sorted((t["id"], row, t) for row, t in zip(rows.tolist(), told, strict=True)):
        key = (told_of["stage"], kind(told_of["reason"]))
        if key[0] not in NO_FAULT and shown[key] < EXAMPLES_PER_REASON:
            shown[key] += 1
            wanted.append(row)
    return wanted


def held(keys: pa.Table) -> list[tuple[str, int, dict[str, int]]]:
    """Reason, records, and of which sources; a record with two reasons counts under both."""
    rows = keys.filter(pc.equal(keys["status"], HELD))
    by_reason: dict[str, Counter[str]] = {}
    for reasons, source in zip(rows["held_for"].to_pylist(), rows["source"].to_pylist(), strict=True):
        for reason in reasons or ():
            by_reason.setdefault(reason, Counter())[source] += 1
    ranked = sorted(by_reason.items(), key=lambda kv: (-kv[1].total(), kv[0]))
    return [(reason, c.total(), dict(sorted(c.items()))) for reason, c in ranked]


def duplicates(keys: pa.Table, clusters: pa.Table) -> DuplicateFacts:
    """What the clusters come to; sources are looked up in the key columns."""
    removed = clusters.filter(pc.not_equal(clusters["kind"], "survivor"))
    sizes = np.array(sorted(Counter(clusters["cluster"].to_pylist()).values()), dtype=np.int64)
    sides = (_source_of(removed[name], keys) for name in ("record_id", "survivor"))
    pairs = Counter(zip(*sides, strict=True))
    near = removed["likeness"].filter(pc.equal(removed["kind"], "near"))
    return DuplicateFacts(
        removed=counts(removed["kind"]),
        clusters=len(sizes),
        sizes={said: int(np.count_nonzero((sizes >= a) & (sizes <= b))) for said, a, b in SIZES},
        largest=int(sizes.max(initial=0)),
        likeness=near.to_pylist(),
        pairs=[(gone, stays, n) for (gone, stays), n in sorted(pairs.items(), key=lambda kv: (-kv[1], kv[0]))],
    )


SIZES = (("1", 1, 1), ("2", 2, 2), ("3", 3, 3), ("4 to 5", 4, 5), ("6 to 10", 6, 10), ("11 or more", 11, 1 << 62))
"""A cluster of one is a record that is like one of the index."""


def _source_of(ids: pa.ChunkedArray, keys: pa.Table) -> list[str]:
    rows = pc.index_in(ids, keys["id"].combine_chunks())
    return [s or "the index" for s in keys["source"].take(rows).to_pylist()]


def personal_data(keys: pa.Table) -> list[tuple[str, int, int]]:
    """Kind, places, and records of what was found and replaced in all readable records."""
    places: Counter[str] = Counter()
    records: Counter[str] = Counter()
    for found in keys["pii"].drop_null().to_pylist():
        for item in found:
            places[item["type"]] += item["count"]
        records.update({item["type"] for item in found})
    return [(name, n, records[name]) for name, n in sorted(places.items(), key=lambda kv: (-kv[1], kv[0]))]


def languages(keys: pa.Table) -> list[tuple[str, int, int]]:
    """Language, readable records, kept records."""
    kept = counts(keys["language"].filter(pc.equal(keys["status"], KEPT)))
    return [(code, n, kept.get(code, 0)) for code, n in counts(keys["language"]).items()]


def by(keys: pa.Table, row: str, column: str) -> dict[str, dict[str, int]]:
    """Kept records by two columns; what says nothing is `unstated`."""
    kept = keys.filter(pc.equal(keys["status"], KEPT))
    found: dict[str, dict[str, int]] = {}
    for group in kept.group_by([row, column]).aggregate([([], "count_all")]).to_pylist():
        found.setdefault(group[row] or "unstated", {})[group[column] or "unstated"] = group["count_all"]
    return dict(sorted(found.items()))


def counts(values: pa.ChunkedArray | pa.Array) -> dict[str, int]:
    """How often each value stands there, the most frequent first."""
    counted = Counter(values.drop_null().to_pylist())
    return dict(sorted(counted.items(), key=lambda kv: (-kv[1], str(kv[0]))))


def lengths(keys: pa.Table) -> dict[str, np.ndarray]:
    """Words on either side of kept records."""
    kept = keys.filter(pc.equal(keys["status"], KEPT))
    sides = {"what the user says": "user_words", "what the assistant says": "assistant_words"}
    return {said: kept[name].to_numpy() for said, name in sides.items()}
