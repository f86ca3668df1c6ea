"""A journal in an empty home; on PostgreSQL where PE_RAY_TEST_POSTGRES names a server (see test_postgres.py)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine

from pe_ray.progress.journal import Journal
from pe_ray.record import JournalEntry
from pe_ray.security.keys import Keys
from pe_ray.store.paths import Home

SERVER = os.environ.get("PE_RAY_TEST_POSTGRES")
sqlite_only = pytest.mark.skipif(SERVER is not None, reason="looks into SQLite's files")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def back(self, days: float) -> datetime:
        return self.at - timedelta(days=days)


@pytest.fixture
def home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of every test, with databases of its own on the server where one is given."""
    if SERVER is not None:
        admin = create_engine(f"{SERVER}/postgres".replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
        for name in ("ops", "journal", "keys"):
            database = f"{name}_{secrets.token_hex(6)}"
            with admin.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {database}")
            monkeypatch.setenv(f"PE_RAY_{name.upper()}_URL", f"{SERVER}/{database}")
        admin.dispose()
    return home


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(home: Home, clock: Clock) -> Iterator[Journal]:
    opened = Journal(home, Keys(home), clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def entry() -> Callable[..., JournalEntry]:
    def make(id: str, text: str = "I slept well", client: str = "ada", **more: object) -> JournalEntry:
        fields = {"at": "2026-01-01T09:00:00Z", "kind": "note", **more}
        return JournalEntry(id, client, body={"text": text}, **fields)

    return make
