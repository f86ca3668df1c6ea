"""Which records must a clinician see before a model may learn from them? The corpus side of `safety.triage`.

Every message of the user is triaged as it would be when serving: with what they said before and what they were asked.
Where the helper asks outright about suicide, the record is about it, however veiled the user's words were. The finding
is written down as it is; `held_for` takes the decision later. Suicidality, homicidal ideation and child abuse are
always held, however the rules graded them, and so are the edge-case categories that are about them: a topic or label
says nothing against a text, and a harmless text says nothing against its category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pe_ray.record import VERDICT_TYPE, Record, Verdict, from_table
from pe_ray.safety.triage import Assessment, asks, follow_all

NAME = "crisis"
ASKED_RULE = "corpus.asked@1"
DEFAULT_REVIEW_LEVEL = 2
MAX_LEVEL = 4

HELD_CLASSES = {
    "suicide_self_harm": "suicidality",
    "harm_to_others": "homicidal ideation",
    "child_abuse": "child abuse",
}
"""Classes of triage that are always held, and what the design calls them."""
HELD_CATEGORIES = {
    "suicidality": "suicidality",
    "homicidal_client": "homicidal ideation",
    "child_abuse_reporting": "child abuse",
}
"""Edge-case categories that are always held."""


@dataclass(frozen=True)
class Finding:
    """The gravest level over a record's user messages, and every class and rule that was found."""

    level: int
    classes: tuple[str, ...]
    rules: tuple[str, ...]


def read(record: Record) -> Finding:
    """Triage the user's messages in order, and hear what they are asked."""
    return read_all([record])[0]


def read_all(records: Sequence[Record]) -> list[Finding]:
    """`read` of many records, several times as fast."""
    heard = [_heard(record) for record in records]
    found = follow_all([said for said, _ in heard])
    return [_finding(judged, asking) for judged, (_, asking) in zip(found, heard, strict=True)]


def _heard(record: Record) -> tuple[list[tuple[str, bool]], list[int]]:
    """The user's messages, each with whether it answers a question about suicide; and where such questions stand."""
    said: list[tuple[str, bool]] = []
    asking: list[int] = []
    asked = False
    for message in record.messages:
        if message.role == "assistant":
            asked = asks(message.text)
            asking += [len(said)] if asked else []
        elif message.role == "user":
            said.append((message.text, asked))
    return said, asking


def _finding(found: Sequence[Assessment], asking: Sequence[int]) -> Finding:
    """Of all messages together; `asking` counts the messages that stand before each question about suicide."""
    classes: dict[str, None] = {}
    rules: dict[str, None] = {}
    for i in range(len(found) + 1):
        if i in asking:
            classes["suicide_self_harm"] = rules[ASKED_RULE] = None
        if i < len(found):
            classes |= dict.fromkeys(found[i].classes)
            rules |= dict.fromkeys(found[i].rules)
    return Finding(max((f.level for f in found), default=0), tuple(classes), tuple(rules))


def check(record: Record, review_level: int = DEFAULT_REVIEW_LEVEL) -> Verdict:
    """1 is calm, 0 is danger now. Not passed: the record waits for clinical review."""
    finding = read(record)
    held = held_for(finding.level, finding.classes, record.metadata.get("category"), review_level)
    return _verdict(finding, not held)


def apply(table: pa.Table) -> pa.Table:
    """The verdict of each record, and the columns `crisis_level` and `crisis_classes` for the decision."""
    records = list(from_table(table))
    findings = read_all(records)
    held = [
        held_for(f.level, f.classes, r.metadata.get("category"), DEFAULT_REVIEW_LEVEL)
        for f, r in zip(findings, records, strict=True)
    ]
    verdicts = [
        [*row, _as_row(_verdict(f, not h))]
        for row, f, h in zip(table["verdicts"].to_pylist(), findings, held, strict=True)
    ]
    at = table.schema.get_field_index("verdicts")
    table = table.set_column(at, "verdicts", pa.array(verdicts, pa.list_(VERDICT_TYPE)))
    table = table.append_column("crisis_level", pa.array([f.level for f in findings], pa.int8()))
    return table.append_column("crisis_classes", pa.array([list(f.classes) for f in findings], pa.list_(pa.string())))


def held_for(level: int, classes: tuple[str, ...] | list[str], category: str | None, review_level: int) -> list[str]:
    """Why a record waits for review, in order of gravity; empty if it does not."""
    reasons = [HELD_CLASSES[c] for c in HELD_CLASSES if c in classes]
    if category in HELD_CATEGORIES:
        reasons.append(HELD_CATEGORIES[category])
    if level >= review_level:
        reasons += [c for c in classes if c not in HELD_CLASSES]
    if level >= review_level and not reasons:
        reasons.append(f"level {level}")
    return list(dict.fromkeys(reasons))


def _verdict(finding: Finding, passed: bool) -> Verdict:
    reason = f"level {finding.level}: {', '.join(finding.rules)}" if finding.rules else ""
    return Verdict(NAME, 1 - finding.level / MAX_LEVEL, passed, reason)


def _as_row(verdict: Verdict) -> dict[str, object]:
    return {"check": verdict.check, "score": verdict.score, "passed": verdict.passed, "reason": verdict.reason}
