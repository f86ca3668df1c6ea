"""Where personal data stands in a text, and how overlapping findings become one."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass

TYPES = (
    "url",
    "email",
    "iban",
    "card",
    "ip",
    "mac",
    "ssn",
    "birth_date",
    "id_document",
    "record_number",
    "vehicle",
    "address",
    "zip",
    "phone",
    "username",
    "name",
)
"""Every type of finding; of two that are equally long, the earlier in this list stands."""

RANK = {kind: rank for rank, kind in enumerate(TYPES)}


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is personal data of `type`; `score` in 0..1. It holds no text, so it can be shown."""

    start: int
    end: int
    type: str
    score: float = 1.0

    def overlaps(self, start: int, end: int) -> bool:
        return self.start < end and start < self.end


def merge(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, none over another: the longer one stands, so that nothing of it is left behind."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, RANK.get(s.type, len(RANK)), s.start)):
        at = bisect(kept, span.start, key=lambda k: k.start)
        neighbours = kept[max(at - 1, 0) : at + 1]
        if not any(span.overlaps(k.start, k.end) for k in neighbours):
            kept.insert(at, span)
    return kept
