"""The `ops` database: which runs there were, and what was made by them. No client data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)

from pe_ray.errors import RunConflict
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


MIGRATIONS = [_create_run, _create_api_key]

RUN = Table(
    "run",
    MetaData(),
    *(Column(c, String) for c in ("id", "job", "config_hash", "state", "started_at", "ended_at", "summary")),
)
API_KEY = Table(
    "api_key",
    MetaData(),
    *(Column(c, String) for c in ("id", "role", "name", "subjects", "created_at", "expires_at", "revoked_at")),
    Column("secret_hash", LargeBinary),
)


class Runs:
    """The table of runs. One run id belongs to one configuration for good."""

    def __init__(self, home: Home) -> None:
        self.engine: Engine = open_database(home.database("ops"), MIGRATIONS)

    def begin(self, run_id: str, job: str, config_hash: str) -> bool:
        """Note that a run starts, or goes on; True if it was there before.

        Raises RunConflict if the id belongs to another configuration.
        """
        with self.engine.begin() as c:
            row = c.execute(select(RUN).where(RUN.c.id == run_id)).mappings().first()
            if row is None:
                values = {
                    "id": run_id,
                    "job": job,
                    "config_hash": config_hash,
                    "state": "running",
                    "started_at": _now(),
                }
                c.execute(insert(RUN).values(**values))
                return False
            if row["config_hash"] != config_hash:
                raise RunConflict(
                    f"run_id={run_id}: belongs to configuration {row['config_hash']}, not to this one ({config_hash}); "
                    f"give another --run-id, or the settings saved in runs/{run_id}/config.yaml"
                )
            c.execute(update(RUN).where(RUN.c.id == run_id).values(state="running"))
            return True

    def end(self, run_id: str, state: str, summary: Mapping[str, Any] | None = None) -> None:
        """Note that a run ended: `state` is done or failed."""
        values = {"state": state, "ended_at": _now(), "summary": json.dumps(summary) if summary else None}
        with self.engine.begin() as c:
            c.execute(update(RUN).where(RUN.c.id == run_id).values(**values))

    def list(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        with self.engine.begin() as c:
            return [dict(r) for r in c.execute(select(RUN).order_by(RUN.c.started_at.desc())).mappings()]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
