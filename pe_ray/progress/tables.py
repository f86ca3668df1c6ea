"""The `journal` database: client data, sealed, and the audit chain of every act on it.

Plain columns hold ids, times, enumerated kinds and versions, nothing else: even a score total identifies and harms.
Every sealed column is written and read by `repository.py` alone. Times are ISO 8601 text in UTC.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from pe_ray.security import audit


def _create_audit(connection: Connection) -> None:
    audit.create_tables(connection)


def _create_client_data(connection: Connection) -> None:
    schema = MetaData()
    serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER keys only
    text = {"nullable": False}
    Table("client", schema, Column("id", String, primary_key=True), Column("created_at", String, **text))
    Table(
        "entry",
        schema,
        Column("seq", serial, primary_key=True, autoincrement=True),
        *(Column(c, String, **text) for c in ("id", "client_id", "at", "kind", "author")),
        Column("response_id", String),
        Column("session_id", String),
        Column("body", LargeBinary, **text),
        UniqueConstraint("client_id", "id"),
        Index("entry_by_client", "client_id", "seq"),
    )
    Table(
        "therapy_session",
        schema,
        *(Column(c, String, **text) for c in ("client_id", "id", "channel", "started_at")),
        Column("ended_at", String),
        Column("summary", LargeBinary),
        PrimaryKeyConstraint("client_id", "id"),
    )
    Table(
        "goal",
        schema,
        *(Column(c, String, **text) for c in ("client_id", "id", "status", "created_at")),
        Column("target_date", String),
        Column("text", LargeBinary, **text),
        PrimaryKeyConstraint("client_id", "id"),
    )
    Table(
        "goal_rating",
        schema,
        *(Column(c, String, **text) for c in ("client_id", "id", "goal_id", "at", "source")),
        Column("level", LargeBinary, **text),
        PrimaryKeyConstraint("client_id", "id"),
    )
    Table(
        "milestone",
        schema,
        *(Column(c, String, **text) for c in ("client_id", "id", "goal_id", "created_at")),
        Column("due", String),
        Column("done_at", String),
        Column("text", LargeBinary, **text),
        PrimaryKeyConstraint("client_id", "id"),
    )
    Table(
        "assessment",
        schema,
        *(Column(c, String, **text) for c in ("client_id", "id", "instrument", "version", "source", "at")),
        Column("answers", LargeBinary, **text),
        PrimaryKeyConstraint("client_id", "id"),
    )
    Table(
        "refused_parcel",
        schema,
        *(Column(c, String, **text) for c in ("id", "reason", "received_at")),
        Column("sealed", LargeBinary, **text),
        PrimaryKeyConstraint("id"),
    )
    schema.create_all(connection)


MIGRATIONS = [_create_audit, _create_client_data]


def _table(name: str, texts: str, sealed: str = "", numbers: str = "") -> Table:
    columns: list[Column[Any]] = [Column(c, String) for c in texts.split()]
    columns += [Column(c, LargeBinary) for c in sealed.split()]
    columns += [Column(c, BigInteger) for c in numbers.split()]
    return Table(name, MetaData(), *columns)


CLIENT = _table("client", "id created_at")
ENTRY = _table("entry", "id client_id at kind author response_id session_id", "body", "seq")
SESSION = _table("therapy_session", "client_id id channel started_at ended_at", "summary")
GOAL = _table("goal", "client_id id status created_at target_date", "text")
RATING = _table("goal_rating", "client_id id goal_id at source", "level")
MILESTONE = _table("milestone", "client_id id goal_id created_at due done_at", "text")
ASSESSMENT = _table("assessment", "client_id id instrument version source at", "answers")
REFUSED = _table("refused_parcel", "id reason received_at", "sealed")

OF_CLIENT = (ENTRY, SESSION, GOAL, RATING, MILESTONE, ASSESSMENT)
"""Tables with rows of a client, each with a `client_id`."""
