"""The `ops` database: which runs there were, what was made by them, and what reviewers decided. No client data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, LargeBinary, MetaData, String, Table, Text, desc
from sqlmodel import Field, Session, SQLModel, select

from pe_ray.errors import RunConflict
from pe_ray.security import audit
from pe_ray.store.db import open_database
from pe_ray.store.paths import Home


def _create_run(connection: Connection) -> None:
    Table(
        "run",
        MetaData(),
        Column("id", String, primary_key=True),
        Column("job", String, nullable=False),
        Column("config_hash", String, nullable=False),
        Column("state", String, nullable=False),  # running, done, failed
        Column("started_at", String, nullable=False),
        Column("ended_at", String),
        Column("summary", Text),
    ).create(connection)


def _create_api_key(connection: Connection) -> None:
    Table(
        "api_key",
        MetaData(),
        Column("id", String, primary_key=True),
        Column("secret_hash", LargeBinary, nullable=False),
        Column("role", String, nullable=False),
        Column("name", String, nullable=False),
        Column("subjects", Text, nullable=False),  # pseudonyms of the clients it may act for, one blank between
        Column("created_at", String, nullable=False),
        Column("expires_at", String, nullable=False),
        Column("revoked_at", String),
    ).create(connection)


def _create_review(connection: Connection) -> None:
    """Reviewers, what they decided about held records, labels that hold a record, and the chain of all of it."""
    audit.create_tables(connection)
    schema = MetaData()
    Table(
        "reviewer",
        schema,
        Column("name", String, primary_key=True),
        Column("public_key", LargeBinary, nullable=False),
        Column("created_at", String, nullable=False),
        Column("seal", LargeBinary, nullable=False),  # by the key-encryption key: a row put in by hand has none
    )
    texts = ("corpus", "record_id", "content", "held_for", "verb", "reviewer", "reason", "at")
    Table(
        "review_decision",
        schema,
        Column("id", String, primary_key=True),
        *(Column(name, Text, nullable=False) for name in texts),
        Column("level", Integer, nullable=False),
        Column("signature", LargeBinary, nullable=False),
    )
    Table(
        "held_label",
        schema,
        Column("key", String, primary_key=True),  # a record's id, or the digest of its words
        Column("reason", String, primary_key=True),
        Column("at", String, nullable=False),
    )
    schema.create_all(connection)


MIGRATIONS = [_create_run, _create_api_key, _create_review]

API_KEY = Table(
    "api_key",
    MetaData(),
    *(Column(c, String) for c in ("id", "role", "name", "subjects", "created_at", "expires_at", "revoked_at")),
    Column("secret_hash", LargeBinary),
)
REVIEWER = Table(
    "reviewer",
    MetaData(),
    *(Column(c, String) for c in ("name", "created_at")),
    *(Column(c, LargeBinary) for c in ("public_key", "seal")),
)
REVIEW_DECISION = Table(
    "review_decision",
    MetaData(),
    *(Column(c, String) for c in ("id", "corpus", "record_id", "content", "held_for", "verb", "reviewer", "reason")),
    Column("at", String),
    Column("level", Integer),
    Column("signature", LargeBinary),
)
HELD_LABEL = Table("held_label", MetaData(), *(Column(c, String) for c in ("key", "reason", "at")))


class RunRow(SQLModel, table=True):
    """A row of `run`; the migrations above make the table."""

    __tablename__ = "run"

    id: str = Field(primary_key=True)
    job: str
    config_hash: str
    state: str = "running"
    started_at: str
    ended_at: str | None = None
    summary: str | None = None


class Runs:
    """The table of runs. One run id belongs to one configuration for good."""

    def __init__(self, home: Home) -> None:
        self.engine: Engine = open_database(home.database("ops"), MIGRATIONS)

    def begin(self, run_id: str, job: str, config_hash: str) -> bool:
        """Note that a run starts, or goes on; True if it was there before.

        Raises RunConflict if the id belongs to another configuration.
        """
        with Session(self.engine) as session, session.begin():
            row = session.get(RunRow, run_id)
            if row is None:
                session.add(RunRow(id=run_id, job=job, config_hash=config_hash, started_at=_now()))
                return False
            if row.config_hash != config_hash:
                raise RunConflict(
                    f"run_id={run_id}: belongs to configuration {row.config_hash}, not to this one ({config_hash}); "
                    f"give another --run-id, or the settings saved in runs/{run_id}/config.yaml"
                )
            row.state = "running"
            return True

    def end(self, run_id: str, state: str, summary: Mapping[str, Any] | None = None) -> None:
        """Note that a run ended: `state` is done or failed."""
        with Session(self.engine) as session, session.begin():
            row = session.get(RunRow, run_id)
            assert row is not None, f"run {run_id} ends without having begun"
            row.state, row.ended_at = state, _now()
            row.summary = json.dumps(summary) if summary else None

    def list(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        with Session(self.engine) as session:
            rows = session.exec(select(RunRow).order_by(desc(RunRow.started_at))).all()
            return [row.model_dump() for row in rows]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
