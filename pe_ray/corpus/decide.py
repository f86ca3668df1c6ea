"""From what the stages wrote about each record to one decision a record; the only step that sees the whole corpus.

It works on key columns, not on text: ids, hashes, verdicts. A record is, in this order,

1. rejected by `clean`, if nothing usable was left of it;
2. rejected by `dedup`, if another record says the same (the reason names that record);
3. held for review, if triage or the class or category of it or of a duplicate asks for it, whatever its scores;
4. rejected by the first check whose score is under the threshold;
5. rejected by `balance` (not_selected), if its source has more than its share;
6. kept, in training or validation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pe_ray.config import CheckConfig, CorpusConfig
from pe_ray.corpus.balance import Balance, choose, share_out
from pe_ray.corpus.dedup import survivors
from pe_ray.corpus.quality import bias, coherence, crisis, generic
from pe_ray.corpus.split import split

KEPT, REJECTED, HELD = "kept", "rejected", "held"

KEY_COLUMNS = (
    *("part", "row", "id", "source", "domain", "fault", "text_key", "row_key", "group"),
    *("content_type", "changes", "verdicts", "crisis_level", "crisis_classes"),
    *("category", "difficulty", "question", "user_words", "assistant_words"),
)
"""What `decide` and the report read of every record."""

DECISION_COLUMNS = pa.schema(
    [
        ("status", pa.string()),
        ("stage", pa.string()),  # of a reject
        ("reason", pa.string()),
        ("held_for", pa.list_(pa.string())),
        ("copies", pa.int32()),  # rows in the corpus; more than 1 under on_shortage=repeat
        ("split", pa.string()),
    ]
)


@dataclass
class Decision:
    """What becomes of one record."""

    status: str = KEPT
    stage: str | None = None
    reason: str | None = None
    held_for: Sequence[str] = ()
    copies: int = 0
    split: str | None = None


@dataclass(frozen=True)
class Decided:
    """The key table with a decision in each row, and how the shares came out."""

    table: pa.Table
    balance: Balance


def thresholds(checks: CheckConfig) -> dict[str, float]:
    """Least score by check, in the order in which they reject."""
    return {coherence.NAME: checks.coherence_min, generic.NAME: checks.generic_min, bias.NAME: checks.bias_min}


def decide(keys: pa.Table, config: CorpusConfig) -> Decided:
    """Decide every row of a table that has `KEY_COLUMNS`."""
    column = {name: keys[name].to_pylist() for name in KEY_COLUMNS}
    decisions = [Decision() for _ in column["id"]]
    _reject_faults(decisions, column)
    stands_for = survivors(
        [None if f else k for f, k in zip(column["fault"], column["text_key"], strict=True)],
        column["id"],
        column["row_key"],
    )
    _reject_duplicates(decisions, column, stands_for)
    _hold(decisions, column, stands_for, config.checks.review_level)
    _reject_by_score(decisions, column, config.checks)
    balance = _balance(decisions, column, config)
    _split(decisions, column, config.validation_share)
    arrays = [pa.array([getattr(d, f.name) for d in decisions], f.type) for f in DECISION_COLUMNS]
    for field, values in zip(DECISION_COLUMNS, arrays, strict=True):
        keys = keys.append_column(field, values)
    return Decided(keys, balance)


def _reject_faults(decisions: Sequence[Decision], column: Mapping[str, list[Any]]) -> None:
    for decision, fault in zip(decisions, column["fault"], strict=True):
        if fault:
            decision.status, decision.stage, decision.reason = REJECTED, "clean", fault


def _reject_duplicates(
    decisions: Sequence[Decision], column: Mapping[str, list[Any]], stands_for: Sequence[int]
) -> None:
    for i, survivor in enumerate(stands_for):
        if survivor != i:
            decisions[i].status, decisions[i].stage = REJECTED, "dedup"
            decisions[i].reason = f"same text as {column['id'][survivor]}"


def _hold(
    decisions: Sequence[Decision], column: Mapping[str, list[Any]], stands_for: Sequence[int], review_level: int
) -> None:
    reasons: dict[int, list[str]] = defaultdict(list)
    rows = zip(column["crisis_level"], column["crisis_classes"], column["category"], stands_for, strict=True)
    for level, classes, category, survivor in rows:
        reasons[survivor] += crisis.held_for(level, classes, category, review_level)
    for i, found in reasons.items():
        if found and decisions[i].status == KEPT:
            decisions[i].status, decisions[i].held_for = HELD, list(dict.fromkeys(sorted(found)))


def _reject_by_score(decisions: Sequence[Decision], column: Mapping[str, list[Any]], checks: CheckConfig) -> None:
    least = thresholds(checks)
    for decision, verdicts in zip(decisions, column["verdicts"], strict=True):
        if decision.status != KEPT:
            continue
        scores = {v["check"]: v for v in verdicts}
        failed = next((c for c, minimum in least.items() if not passes(scores[c]["score"], minimum)), None)
        if failed:
            decision.status, decision.stage = REJECTED, failed
            detail = f" ({scores[failed]['reason']})" if scores[failed]["reason"] else ""
            decision.reason = f"score {scores[failed]['score']:.3f} is under {least[failed]:g}{detail}"


def passes(score: float, minimum: float) -> bool:
    """Whether a stored score (float32, four decimals) reaches a threshold."""
    return round(score, 4) >= minimum


def _balance(decisions: Sequence[Decision], column: Mapping[str, list[Any]], config: CorpusConfig) -> Balance:
    members: dict[str, list[int]] = defaultdict(list)
    for i, decision in enumerate(decisions):
        if decision.status == KEPT:
            members[column["source"][i]].append(i)
    balance = share_out({s: len(m) for s, m in members.items()}, config)
    picked = choose({s: [column["id"][i] for i in m] for s, m in members.items()}, balance.counts)
    for source, indices in members.items():
        for position, i in enumerate(indices):
            decisions[i].copies = picked[source].get(position, 0)
            if not decisions[i].copies:
                decisions[i].status, decisions[i].stage, decisions[i].reason = REJECTED, "balance", "not_selected"
    return balance


def _split(decisions: Sequence[Decision], column: Mapping[str, list[Any]], share: float) -> None:
    kept = [i for i, d in enumerate(decisions) if d.status == KEPT]
    sides = split([column["domain"][i] for i in kept], [column["group"][i] for i in kept], share)
    for i, side in zip(kept, sides, strict=True):
        decisions[i].split = side
