"""What reviewers decided about held records: signed, chained, and believed only as far as both can be checked.

    record(home, signer, matter, "approve", "Read twice; no method, safe answer.")
    checked(home, keys)      every decision that stands up, in the order of the chain, and what does not

A decision binds a matter: one record of one corpus, all that it held (`content`), what it was held for, and how grave
it was. It is signed by the reviewer's key, and its digest stands in the audit chain of the `ops` database, written in
the same transaction. A decision that is not in the chain, whose row has changed or gone, or whose signature is nobody's
is not believed, and with it no other decision about that record; if the chain itself does not hold, none is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, insert, select
from ulid import ULID

from pe_ray.errors import UserError
from pe_ray.security import audit
from pe_ray.security.audit import AUDIT, AuditEvent, Verification
from pe_ray.security.keys import Keys
from pe_ray.security.reviewers import ROLE, Reviewer, Signer, registered
from pe_ray.store.db import open_database
from pe_ray.store.ops import MIGRATIONS, REVIEW_DECISION, REVIEWER
from pe_ray.store.paths import Home

Verb = Literal["approve", "reject", "withdraw"]
VERBS: tuple[Verb, ...] = ("approve", "reject", "withdraw")
DOMAIN = b"pe_ray.review.v1\0"
SHORTEST_REASON, LONGEST_REASON = 10, 2000


@dataclass(frozen=True)
class Matter:
    """What is decided about. `content` is the digest of all that the record held when it was looked at."""

    corpus: str
    record_id: str
    content: str
    held_for: tuple[str, ...]
    level: int


@dataclass(frozen=True)
class Decision:
    """One reviewer's word. `reason` is theirs, and leaves the database only for those who verify it."""

    id: str
    matter: Matter
    verb: Verb
    reviewer: str
    reason: str = field(repr=False)
    at: str

    def statement(self) -> bytes:
        """The bytes that are signed."""
        body = {**asdict(self), "matter": {**asdict(self.matter), "held_for": sorted(self.matter.held_for)}}
        return DOMAIN + json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


@dataclass(frozen=True)
class Problem:
    """Something that does not stand up: where it is, what is wrong, and which record it makes undecided."""

    where: str
    what: str
    record_id: str | None = None


@dataclass(frozen=True)
class Checked:
    """Every decision that stands up, oldest first; what does not; and what the check of the chain found."""

    decisions: tuple[Decision, ...]
    problems: tuple[Problem, ...]
    chain: Verification


def record(home: Home, signer: Signer, matter: Matter, verb: Verb, reason: str) -> Decision:
    """Sign a decision and keep it; on disk, with its line of the chain, when this returns.

    Raises what `check_reason` raises.
    """
    told = check_reason(reason)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    decision = Decision(str(ULID()), matter, verb, signer.reviewer.name, told, at)
    signature = signer.sign(decision.statement())
    told_of = asdict(matter) | {"held_for": json.dumps(sorted(matter.held_for))}
    row = told_of | {"id": decision.id, "verb": verb, "reviewer": decision.reviewer, "reason": told, "at": at}
    event = AuditEvent(
        decision.reviewer,
        ROLE,
        f"review.{verb}",
        "record",
        matter.record_id,
        reason=_line(decision.id, decision.statement(), signature),
    )
    engine = open_database(home.database("ops"), MIGRATIONS)
    try:
        with engine.begin() as connection:
            connection.execute(insert(REVIEW_DECISION).values(**row, signature=signature))
            audit.append(connection, [event])
    finally:
        engine.dispose()
    return decision


def check_reason(reason: str) -> str:
    """A reviewer's reason, stripped. Raises UserError for one that is too short, too long, or of more than one line."""
    told = reason.strip()
    if SHORTEST_REASON <= len(told) <= LONGEST_REASON and told.isprintable():
        return told
    wanted = f"{SHORTEST_REASON} to {LONGEST_REASON} printable ones on one line"
    raise UserError(f"reason: has {len(told)} characters; {wanted} are wanted")


def note(home: Home, actor: str, action: str, object_type: str, object_ref: str, reason: str = "") -> None:
    """Put an act that decides nothing (a look, an export) into the chain; committed when this returns."""
    event = AuditEvent(actor, ROLE if actor != "local" else "dev", action, object_type, object_ref, reason=reason)
    engine = open_database(home.database("ops"), MIGRATIONS)
    try:
        with engine.begin() as connection:
            audit.append(connection, [event])
    finally:
        engine.dispose()


def checked(home: Home, keys: Keys | None = None) -> Checked:
    """Check the chain, every decision and every signature.

    The key-encryption key is asked for (`keys`, or the home's) only where there is a reviewer on record.
    """
    engine = open_database(home.database("ops"), MIGRATIONS)
    try:
        with engine.begin() as connection:
            chain = audit.verify(connection)
            reviewers = _reviewers(connection, home, keys)
            rows = {row["id"]: dict(row) for row in connection.execute(select(REVIEW_DECISION)).mappings()}
            lines = list(_decided(connection))
    finally:
        engine.dispose()
    if chain.first_bad_seq is not None:
        return Checked((), (Problem(f"audit row {chain.first_bad_seq}", chain.reason),), chain)
    found, problems = _believed(rows, lines, reviewers)
    doubtful = {p.record_id for p in problems}
    return Checked(tuple(d for d in found if d.matter.record_id not in doubtful), tuple(problems), chain)


def _reviewers(connection: Connection, home: Home, keys: Keys | None) -> dict[str, Reviewer]:
    if not connection.execute(select(func.count()).select_from(REVIEWER)).scalar_one():
        return {}
    return registered(connection, keys or Keys(home))


def _decided(connection: Connection) -> Iterator[dict[str, Any]]:
    """The lines of the chain that tell of a decision, in their order."""
    actions = [f"review.{verb}" for verb in VERBS]
    columns = (AUDIT.c.seq, AUDIT.c.action, AUDIT.c.actor, AUDIT.c.object_ref, AUDIT.c.reason)
    query = select(*columns).where(AUDIT.c.action.in_(actions)).order_by(AUDIT.c.seq)
    yield from (dict(row) for row in connection.execute(query).mappings())


def _believed(
    rows: Mapping[str, dict[str, Any]], lines: Sequence[Mapping[str, Any]], reviewers: Mapping[str, Reviewer]
) -> tuple[list[Decision], list[Problem]]:
    found: list[Decision] = []
    problems: list[Problem] = []
    told = set()
    for line in lines:
        id = line["reason"].partition(" ")[0]
        told.add(id)
        row = rows.get(id)
        if row is None:
            problems.append(Problem(f"audit row {line['seq']}", f"decision {id} has gone", line["object_ref"]))
        elif what := _fault(row, line, reviewers):
            problems.append(Problem(f"decision {id}", what, line["object_ref"]))
            problems += [Problem(f"decision {id}", what, row["record_id"])] * (row["record_id"] != line["object_ref"])
        else:
            found.append(_decision(row))
    for id in sorted(rows.keys() - told):
        problems.append(Problem(f"decision {id}", "has no line in the audit chain", rows[id]["record_id"]))
    return found, problems


def _fault(row: Mapping[str, Any], line: Mapping[str, Any], reviewers: Mapping[str, Reviewer]) -> str:
    """What is wrong with a decision; empty if nothing is."""
    try:
        decision = _decision(row)
    except (ValueError, TypeError):
        return "its row cannot be read"
    reviewer, statement, signature = reviewers.get(decision.reviewer), decision.statement(), bytes(row["signature"])
    if reviewer is None:
        return f"reviewer {decision.reviewer} has no key on record"
    if not reviewer.signed(statement, signature):
        return f"the signature is not that of {decision.reviewer}"
    told = (f"review.{decision.verb}", decision.reviewer, decision.matter.record_id)
    if line["reason"] != _line(decision.id, statement, signature) or told != tuple(
        line[n] for n in ("action", "actor", "object_ref")
    ):
        return f"audit row {line['seq']} tells of another decision"
    return ""


def _decision(row: Mapping[str, Any]) -> Decision:
    held_for = tuple(json.loads(row["held_for"]))
    matter = Matter(row["corpus"], row["record_id"], row["content"], held_for, row["level"])
    if row["verb"] not in VERBS:
        raise ValueError("no verb of a decision")
    return Decision(row["id"], matter, row["verb"], row["reviewer"], row["reason"], row["at"])


def _line(id: str, statement: bytes, signature: bytes) -> str:
    """What the chain says of a decision: its id, and the digest of all of it."""
    return f"{id} {hashlib.sha256(statement + signature).hexdigest()}"
