"""What becomes of an answer: a row in the shape that its source reads, with the reasons for which a clinician must see
it first, or Unusable.

Refused here, so that it is asked for again: what must not appear, an answer that the corpus' own checks would reject,
a persona that contradicts its card. Held for clinical review (`review: required`): very high difficulty, the categories
that are always held, whatever triage finds at level 2 or more, and a reply in which a step of the protocol is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pe_ray.config import SourceSpec
from pe_ray.corpus.generate.answer import Dialogue, EdgeCase, Unusable
from pe_ray.corpus.generate.personas import Card
from pe_ray.corpus.generate.protocol import Protocol
from pe_ray.corpus.generate.scenario import Specification
from pe_ray.corpus.quality import coherence, crisis, generic, persona
from pe_ray.corpus.reading import Row, SourceFile
from pe_ray.corpus.row import Fault
from pe_ray.corpus.sources import dual_persona, edge_case
from pe_ray.record import Record
from pe_ray.safety import output
from pe_ray.safety.normalise import normalise
from pe_ray.safety.rules import load as load_rules

ALWAYS_HELD = "very_high"
"""The difficulty that waits for a clinician whatever the text says."""
METHOD = "output.method"
NOWHERE = SourceFile(path="", uri="generated.jsonl", size=0)


@dataclass(frozen=True)
class Screened:
    """A row, what its client says (for repeats), and why it waits for review (empty: it does not)."""

    row: Mapping[str, Any] = field(repr=False)
    said: str = field(repr=False)
    review: tuple[str, ...]


def screen_edge_case(id_: str, author: str, wanted: Specification, protocol: Protocol, answer: EdgeCase) -> Screened:
    """Judge one edge case; raises Unusable."""
    row = {
        "id": id_,
        "category": wanted.data["category"],
        "difficulty": wanted.data["difficulty"],
        "purpose": answer.purpose,
        "client": answer.client,
        "therapist": answer.therapist,
        "expected_challenges": answer.expected_challenges,
        **_marks(author, protocol),
    }
    record = _read(edge_case, "edge_case", row)
    for check in (coherence.check, generic.check):
        verdict = check(record)
        if verdict is not None and not verdict.passed:
            raise Unusable(f"therapist fails the check {verdict.check}: speak to this client about this matter")
    held = [ALWAYS_HELD] if wanted.data["difficulty"] == ALWAYS_HELD else []
    missing = [f"protocol step not seen: {step}" for step in protocol.missing(answer.therapist)]
    return _screened(row, record, protocol, [*held, *missing])


def screen_dialogue(
    id_: str, author: str, client: Card, therapist: Card, protocol: Protocol, answer: Dialogue
) -> Screened:
    """Judge one dialogue; raises Unusable."""
    row = {
        "dialogue_id": id_,
        "personas": [client.public, therapist.public],
        "turns": [{"speaker": t.speaker, "text": t.text} for t in answer.turns],
        "topic": answer.topic,
        "purpose": answer.purpose,
        "expected_challenges": answer.expected_challenges,
        **_marks(author, protocol),
    }
    record = _read(dual_persona, "dual_persona", row)
    verdict = persona.check(record)
    if verdict is not None and not verdict.passed:
        raise Unusable("turns contradict a persona card")
    return _screened(row, record, protocol, [])


def _screened(row: dict[str, Any], record: Record, protocol: Protocol, review: list[str]) -> Screened:
    client = record.text_of("user")
    finding = crisis.read(record)
    broken = protocol.forbidden(output.judge(record.text_of("assistant"), level=finding.level).rules)
    if broken:
        raise Unusable(f"the therapist says what must not appear ({', '.join(broken)})")
    reasons = [
        *review,
        *crisis.held_for(finding.level, finding.classes, record.metadata.get("category"), crisis.DEFAULT_REVIEW_LEVEL),
    ]
    if _method().search(normalise(client).text):
        reasons.append("the client's words name a method")
    if reasons:
        row["review"] = "required"
    return Screened(row, client, tuple(dict.fromkeys(reasons)))


@cache
def _method() -> re.Pattern[str]:
    """The output filter's own rule; of its rules only this one is asked of a client, who may say all the others bar."""
    return next(rule.regex for rule in load_rules("output").rules if rule.id == METHOD)


def _marks(author: str, protocol: Protocol) -> dict[str, str]:
    return {"safety_protocol": f"{protocol.id}: {', '.join(protocol.step_ids)}", "generated": author}


def _read(source: Any, kind: str, row: Mapping[str, Any]) -> Record:
    """The record that the corpus will read from this row."""
    try:
        found = source.from_row(SourceSpec(kind=kind), NOWHERE, Row(1, dict(row)))
    except Fault as fault:
        raise Unusable(f"{fault.name} {fault.reason}") from None
    assert isinstance(found, Record)
    return found
