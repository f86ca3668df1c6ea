"""One request on its way: what was asked, what triage found, what will be said, and what is remembered of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from ulid import ULID

from pe_ray.record import JournalEntry
from pe_ray.safety.resources import resources
from pe_ray.safety.triage import Assessment
from pe_ray.serve.engine.base import EngineInfo
from pe_ray.serve.schemas import InferenceReply, InferenceRequest, ResourceOut, Safety

SAFE_LEVEL = 3
"""From here on no model speaks."""
TRIAGE_FAILED = Assessment(2, (), ("triage.failed@1",), ())
ANONYMOUS = "anonymous"
"""Client of a crisis event that nobody's name came with; it holds what was found, and no words."""

Action = Literal["none", "resources", "safe_reply", "blocked"]


@dataclass(frozen=True)
class Case:
    """One request under way, with what triage found."""

    request: InferenceRequest = field(repr=False)
    found: Assessment
    info: EngineInfo
    locale: str
    response_id: str
    started: float

    @property
    def safe(self) -> bool:
        """Whether no model may speak: danger, triage that failed, or distress before a demonstration base."""
        return self.found.level >= (2 if self.info.demo_base or self.untriaged else SAFE_LEVEL)

    @property
    def grave(self) -> bool:
        """Whether a person must hear of it: journalled whatever was asked."""
        return self.found.level >= 2

    @property
    def untriaged(self) -> bool:
        """Whether triage itself failed."""
        return "triage.failed@1" in self.found.rules


@dataclass(frozen=True)
class Words:
    """What will be said, and how it came about."""

    text: str = field(repr=False)
    action: Action
    rules: tuple[str, ...] = ()
    tokens: int = 0
    cache_hit: bool = False
    finish: str = "stop"
    prompt_tokens: int = 0


@dataclass(frozen=True)
class Piece:
    """A judged piece of a streamed reply; the last one carries the whole answer."""

    text: str = field(repr=False)
    response_id: str
    model: str
    reply: InferenceReply | None = None


def safety(case: Case, words: Words) -> Safety:
    """The safety object of a reply."""
    shown = resources(case.locale, case.found.classes, level=case.found.level) if words.action != "none" else ()
    out = tuple(ResourceOut(name=r.name, contact=r.contact, locale=r.locale, source=r.source) for r in shown)
    return Safety(level=case.found.level, action=words.action, rules=words.rules, resources=out)


def journal_entry(case: Case, words: Words) -> JournalEntry:
    """What the journal is to remember: a crisis, or a message of a tracked client."""
    request, found = case.request, case.found
    body: dict[str, Any] = {
        "level": found.level,
        "classes": list(found.classes),
        "rules": list(words.rules),
        "action": words.action,
        "model": case.info.model,
    }
    if request.client_id is not None:
        body |= {"text": request.user_input, "response": words.text}
    return JournalEntry(
        id=str(ULID()),
        client_id=request.client_id or ANONYMOUS,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        kind="crisis" if case.grave else "message",
        body=body,
        response_id=case.response_id,
        session_id=request.session_id if request.client_id is not None else None,
    )
