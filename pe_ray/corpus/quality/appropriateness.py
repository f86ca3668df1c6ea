"""Does a helper answer a difficult moment as a safe one does? A row check over `safety.appropriateness`.

It has something to say of edge cases, by their category, and of other records in which triage finds danger in the
client's words, by the class that it finds. Of a window of a longer conversation nothing is held against what it leaves
out, since that may stand in another window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pe_ray.corpus.quality import crisis
from pe_ray.corpus.sources.edge_case import CATEGORIES
from pe_ray.record import Record, Verdict, from_table
from pe_ray.safety.appropriateness import Finding, assess, categories, category_of, places

NAME = "appropriateness"
DEFAULT_MIN = 0.3
MODERATE = "moderate"
"""The difficulty of a moment without a sign of danger."""
LEAST_LEVEL = 3
"""From this level of triage on, a record without a category is judged by the class that was found."""


@dataclass(frozen=True)
class Span:
    """Where a rule was found: the message, counted from 0, and its characters."""

    rule: str
    message: int
    start: int
    end: int


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict | None:
    """Appropriateness in 0..1 of what the assistant says; None of a record that is about no such moment."""
    return _judged(record, category(record), minimum)


def judge(table: pa.Table) -> dict[int, Verdict]:
    """`check` of every record of a table that triage has read (`crisis_level`, `crisis_classes`), by row."""
    edge = pc.equal(table["content_type"], "edge_case")
    grave = pc.greater_equal(table["crisis_level"], LEAST_LEVEL)
    rows = np.flatnonzero(pc.or_(edge, grave).to_numpy(zero_copy_only=False))
    chosen = table.take(pa.array(rows, pa.int64()))
    found = {}
    told = zip(chosen["crisis_level"].to_pylist(), chosen["crisis_classes"].to_pylist(), strict=True)
    for row, record, (level, classes) in zip(rows.tolist(), from_table(chosen), told, strict=True):
        named = _named(record) or (category_of(classes) if level >= LEAST_LEVEL else None)
        if verdict := _judged(record, named, DEFAULT_MIN):
            found[row] = verdict
    return found


def category(record: Record) -> str | None:
    """The category that a record is judged by: its own, else that of what triage finds."""
    if named := _named(record):
        return named
    found = crisis.read(record)
    return category_of(found.classes) if found.level >= LEAST_LEVEL else None


def explain_spans(record: Record) -> Iterator[Span]:
    """Where the rules of its category were found in a record, what must be said and what must not."""
    named = category(record)
    if named is None:
        return
    own, texts = _answers(record)
    for rule, text, start, end in places(texts, _assessed(record, texts, named)):
        yield Span(rule, own[text], start, end)


def _named(record: Record) -> str | None:
    named = record.metadata.get("category", "") if record.content_type == "edge_case" else ""
    return named if named in categories() else None


def _answers(record: Record) -> tuple[Sequence[int], Sequence[str]]:
    """The assistant's messages and their places."""
    own = [n for n, m in enumerate(record.messages) if m.role == "assistant"]
    return own, [record.messages[n].text for n in own]


def _assessed(record: Record, texts: Sequence[str], named: str) -> Finding:
    difficulty = record.metadata.get("difficulty") or CATEGORIES[named]
    return assess(texts, named, whole="window" not in record.metadata, grave=difficulty != MODERATE)


def _judged(record: Record, named: str | None, minimum: float) -> Verdict | None:
    texts = _answers(record)[1]
    if named is None or not texts:
        return None
    found = _assessed(record, texts, named)
    parts = [named]
    parts += [f"broken: {', '.join(found.broken)}"] if found.broken else []
    parts += [f"missed: {', '.join(found.missed)}"] if found.missed else []
    return Verdict(NAME, found.score, found.score >= minimum, "; ".join(parts))
