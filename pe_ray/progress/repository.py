"""The only place that seals and opens client data, and through which every read and write of it is audited.

A value is sealed under its client's own key for its row and column, so a row copied to another client, or a column to
another, does not open; whoever asks for one client cannot be given the words of a second.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, insert, select

from pe_ray.errors import ClientNotFound, SealError
from pe_ray.progress.tables import CLIENT, MIGRATIONS
from pe_ray.progress.writer import Writer
from pe_ray.security import audit
from pe_ray.security.api_keys import Principal
from pe_ray.security.audit import AuditEvent
from pe_ray.security.envelope import Place, key_version, open_, seal
from pe_ray.security.keys import Keys
from pe_ray.security.keystore import Keystore
from pe_ray.store.db import open_database
from pe_ray.store.paths import Home

LOG = logging.getLogger("pe_ray.progress")
T = TypeVar("T")
Row = Mapping[str, Any]


class Repository:
    """The journal database with its keys. Thread-safe; one process writes it."""

    def __init__(self, home: Home, keys: Keys, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        url = home.database("journal")
        self.clock = clock
        self.keystore = Keystore(home, keys)
        self._engine = open_database(url, MIGRATIONS)
        self._writer = Writer(self._engine)
        self._reader = open_database(url, MIGRATIONS, read_only=True)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction of the one writer; it is committed when this returns."""
        return self._writer.run(work)

    @contextmanager
    def reading(self, client_id: str | None = None) -> Iterator[Connection]:
        """A read-only view of the database; ClientNotFound for a client that is not in it."""
        with self._reader.begin() as connection:
            if client_id is not None and not _exists(connection, client_id):
                raise ClientNotFound("no such client")
            yield connection

    def enrol(self, client_ids: Sequence[str]) -> Callable[[Connection], None]:
        """Make keys for clients who have none; the result notes new clients inside the transaction of their first row.

        Keys come first and in their own database: a key without a client is harmless, a client without a key is not.
        """
        for client_id in client_ids:
            self.keystore.current(client_id, create=True)
            self.keystore.current(client_id, "pseudonym", create=True)
        at = self.now()

        def note(connection: Connection) -> None:
            for client_id in client_ids:
                if not _exists(connection, client_id):
                    connection.execute(insert(CLIENT).values(id=client_id, created_at=at))

        return note

    def require(self, connection: Connection, client_id: str) -> None:
        """ClientNotFound unless the client is there."""
        if not _exists(connection, client_id):
            raise ClientNotFound("no such client")

    def seal(self, table: Table, column: str, client_id: str, row_id: str, value: Any) -> bytes:
        """A JSON value sealed for one column of one row of one client."""
        data = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        place = Place(table.name, column, row_id, client_id)
        return seal(self.keystore.current(client_id), data.encode("utf-8", "replace"), place)

    def open(self, table: Table, column: str, row: Row) -> Any:
        """The value sealed in a row; SealError if it was changed, moved, or its key destroyed."""
        sealed, client_id = row[column], row["client_id"]
        key = self.keystore.version(client_id, key_version(sealed))
        return json.loads(open_(key, sealed, Place(table.name, column, row["id"], client_id)))

    def opened(self, table: Table, column: str, row: Row) -> Any:
        """The value, or None and a line in the log where it cannot be opened: one bad row does not hide the others."""
        try:
            return self.open(table, column, row)
        except SealError:
            LOG.error("%s.%s of %s %s cannot be opened", table.name, column, table.name, row["id"])
            return None

    def event(self, who: Principal, action: str, client_id: str, object_ref: str = "", reason: str = "") -> AuditEvent:
        """An act on a client's data, for the audit chain; `action` is `<thing>.<verb>`."""
        return AuditEvent(
            actor=who.id,
            role=who.role,
            action=action,
            object_type=action.partition(".")[0],
            object_ref=object_ref,
            subject_ref=self.subject_ref(client_id),
            reason=reason,
        )

    def subject_ref(self, client_id: str) -> str:
        """How the audit chain names a client; empty once their keys are destroyed."""
        try:
            return audit.subject_ref(self.keystore.current(client_id, "pseudonym").secret, client_id)
        except ClientNotFound:
            return ""

    def note_read(self, who: Principal, action: str, client_id: str, reason: str = "") -> None:
        """Put a read into the audit chain; committed before what was read is handed out."""
        event = self.event(who, action, client_id, reason=reason)
        self.write(lambda connection: audit.append(connection, [event]))

    def now(self) -> str:
        """The time as it is stored."""
        return instant(self.clock())

    def close(self) -> None:
        """Finish waiting writes and close the databases."""
        self._writer.close()
        self._engine.dispose()
        self._reader.dispose()
        self.keystore.close()


def instant(at: datetime) -> str:
    """A time as it is stored: ISO 8601 in UTC with a Z. Raises ValueError for one without a time zone."""
    if at.tzinfo is None:
        raise ValueError("a time needs its zone, for example 2026-01-01T09:00:00Z")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _exists(connection: Connection, client_id: str) -> bool:
    return connection.execute(select(CLIENT.c.id).where(CLIENT.c.id == client_id)).first() is not None
