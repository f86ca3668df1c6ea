"""Who did what to whose data: rows chained by hashes, written in the transaction of the change that they describe.

    hash = SHA-256("pe_ray.audit.v1\\0" | previous hash | the row as canonical JSON)

A row that is edited, removed, inserted or swapped breaks the chain at that row. Rows cut off the end are missed by the
chain alone; the head row finds them unless it was changed as well, and an `anchor` kept elsewhere finds them always.
There is no client text in a row; a client is named by `subject_ref`, an HMAC under a key that erasure destroys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    select,
    update,
)

DOMAIN = b"pe_ray.audit.v1\0"
GENESIS = bytes(32)
_TEXTS = (
    "at",
    "actor",
    "role",
    "action",
    "object_type",
    "object_ref",
    "subject_ref",
    "outcome",
    "reason",
)

AUDIT = Table(
    "audit_event",
    MetaData(),
    Column("shard", Integer),
    Column("seq", BigInteger),
    *(Column(name, String) for name in _TEXTS),
    Column("prev", LargeBinary),
    Column("hash", LargeBinary),
)
HEAD = Table("audit_head", MetaData(), Column("shard", Integer), Column("seq", BigInteger), Column("hash", LargeBinary))


@dataclass(frozen=True)
class AuditEvent:
    """One act. `object_ref` and `subject_ref` are ids or references; nothing here may hold a person's words."""

    actor: str
    role: str
    action: str
    object_type: str
    object_ref: str = ""
    subject_ref: str = ""
    outcome: str = "ok"
    reason: str = ""


@dataclass(frozen=True)
class Anchor:
    """The end of a chain at some time, to be kept where the database's owner cannot change it."""

    seq: int
    hash: bytes


@dataclass(frozen=True)
class Verification:
    """What a check of the whole chain found: `first_bad_seq` is None where nothing is wrong."""

    rows: int
    first_bad_seq: int | None
    reason: str
    head: Anchor


def create_tables(connection: Connection) -> None:
    """The tables, as the first migration of a database with an audit chain makes them."""
    schema = MetaData()
    Table(
        "audit_event",
        schema,
        Column("shard", Integer, nullable=False),
        Column("seq", BigInteger, nullable=False),
        *(Column(name, String, nullable=False, index=name == "subject_ref") for name in _TEXTS),
        Column("prev", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        PrimaryKeyConstraint("shard", "seq"),
    )
    head = Table(
        "audit_head",
        schema,
        Column("shard", Integer, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )
    schema.create_all(connection)
    connection.execute(insert(head).values(shard=0, seq=0, hash=GENESIS))


def append(connection: Connection, events: Sequence[AuditEvent], shard: int = 0) -> None:
    """Add events to the chain, in the caller's transaction; the head row is locked until it ends."""
    if not events:
        return
    head = connection.execute(select(HEAD).where(HEAD.c.shard == shard).with_for_update()).one()
    seq, prev, rows = head.seq, head.hash, []
    for event in events:
        seq += 1
        row = {"shard": shard, "seq": seq, "at": _now(), **asdict(event)}
        digest = _hash(prev, row)
        rows.append({**row, "prev": prev, "hash": digest})
        prev = digest
    connection.execute(insert(AUDIT), rows)
    connection.execute(update(HEAD).where(HEAD.c.shard == shard).values(seq=seq, hash=prev))


def verify(connection: Connection, *, anchor: Anchor | None = None, shard: int = 0) -> Verification:
    """Recompute the chain and name the first row that does not fit (about 50,000 rows a second)."""
    seq, prev, reason = 0, GENESIS, ""
    anchored = anchor is None
    for row in _rows(connection, shard):
        reason = _fault(row, seq + 1, prev)
        if reason:
            return Verification(seq, seq + 1, reason, Anchor(seq, prev))
        seq, prev = row["seq"], row["hash"]
        if anchor and seq == anchor.seq:
            if prev != anchor.hash:
                return Verification(
                    seq, seq, "the chain was written anew: it differs from the anchor", Anchor(seq, prev)
                )
            anchored = True
    head = connection.execute(select(HEAD).where(HEAD.c.shard == shard)).first()
    if not anchored or head is None or (head.seq, head.hash) != (seq, prev):
        return Verification(seq, seq + 1, "rows are missing at the end", Anchor(seq, prev))
    return Verification(seq, None, "", Anchor(seq, prev))


def subject_ref(pseudonym_key: bytes, client_id: str) -> str:
    """The name of a client in the chain: 128 bits, unlinkable once the key is destroyed."""
    return hmac.digest(pseudonym_key, b"pe_ray.subject\0" + client_id.encode(), hashlib.sha256)[:16].hex()


def _rows(connection: Connection, shard: int) -> Iterator[dict[str, Any]]:
    query = select(AUDIT).where(AUDIT.c.shard == shard).order_by(AUDIT.c.seq)
    yield from (dict(row) for row in connection.execute(query.execution_options(yield_per=2000)).mappings())


def _fault(row: dict[str, Any], expected: int, prev: bytes) -> str:
    if row["seq"] != expected:
        return "a row is missing here"
    if row["prev"] != prev:
        return "the row does not follow the one before it"
    content = {name: value for name, value in row.items() if name not in ("prev", "hash")}
    return "" if row["hash"] == _hash(prev, content) else "the row was changed"


def _hash(prev: bytes, row: dict[str, Any]) -> bytes:
    canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(DOMAIN + prev + canonical.encode()).digest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
