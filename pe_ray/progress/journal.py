"""The journal of all clients: the one object that the routes, the reports and the outbox's deliveries use.

journal = Journal(home, Keys(home))
journal.append([JournalEntry(...)])
journal.items("ada")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from pe_ray.errors import SealError, UserError
from pe_ray.progress.assessments import Assessments
from pe_ray.progress.entries import Entries, checked
from pe_ray.progress.goals import Goals
from pe_ray.progress.repository import Repository
from pe_ray.progress.sessions import Sessions
from pe_ray.progress.tables import CLIENT, MIGRATIONS, OF_CLIENT, REFUSED
from pe_ray.record import JournalEntry
from pe_ray.security import audit
from pe_ray.security.access import LOCAL, OPERATOR
from pe_ray.security.api_keys import Principal
from pe_ray.security.keys import Keys
from pe_ray.security.transit import open_entry
from pe_ray.store.db import open_database
from pe_ray.store.paths import Home


@dataclass(frozen=True)
class Delivery:
    """Which parcels are in the journal now, and which could not be opened and were set aside, by id.

    Both kinds are done with: the outbox may forget them.
    """

    stored: list[str]
    refused: list[str]


class Journal:
    """Client data and its audit chain. Thread-safe; on SQLite one process holds it.

    Raises KeyUnavailable through `Keys`, DatabaseTooNew, and PeRayError if another process writes the same file.
    """

    def __init__(self, home: Home, keys: Keys, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._keys = keys
        self._repo = Repository(home, keys, clock=clock)
        self.clock = clock
        self.entries = Entries(self._repo)
        self.sessions = Sessions(self._repo)
        self.goals = Goals(self._repo)
        self.assessments = Assessments(self._repo)

    def append(self, entries: Sequence[JournalEntry], who: Principal = LOCAL) -> list[str]:
        """Keep entries, each once; on disk when this returns. See `Entries.append`."""
        return self.entries.append(entries, who)

    def items(
        self, client_id: str, after: str | None = None, limit: int = 100, who: Principal = LOCAL
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of a client's entries and the cursor of the next. See `Entries.page`."""
        return self.entries.page(client_id, after, limit, who)

    def deliver(self, parcels: Sequence[tuple[str, bytes]]) -> Delivery:
        """Take (id, sealed entry) pairs from an outbox; on disk when this returns, whatever else happens.

        A parcel that cannot be opened or used is set aside as it came, with the reason, so that it neither blocks the
        outbox nor disappears. The first entry of an unknown client makes the client.
        """
        opened: list[tuple[str, JournalEntry]] = []
        refused: list[tuple[str, bytes, str]] = []
        for id, sealed in parcels:
            try:
                opened.append((id, checked(open_entry(self._keys, sealed))))
            except (SealError, UserError) as error:
                refused.append((id, sealed, type(error).__name__))
        if opened:
            self.append([entry for _, entry in opened], OPERATOR)
        if refused:
            self._set_aside(refused)
        return Delivery([id for id, _ in opened], [id for id, _, _ in refused])

    def history(
        self, client_id: str, after: int = 0, limit: int = 100, who: Principal = LOCAL
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Who read or changed what of this client, when: the client's own view of the audit chain, oldest first.

        Each item has seq, at, actor (an API key's id, or local), role, action, object_ref, outcome. `after` is the last
        seq seen. Asking is itself in the history of the next one who asks.
        """
        with self._repo.reading(client_id) as connection:
            found = self._access_log(connection, client_id, after, limit + 1)
        self._repo.note_read(who, "history.read", client_id)
        return found[:limit], (found[limit - 1]["seq"] if len(found) > limit else None)

    def export(self, client_id: str, who: Principal = LOCAL) -> dict[str, Any]:
        """Everything that is kept about a client, as JSON (the right to a copy: GDPR articles 15 and 20)."""
        with self._repo.reading(client_id) as connection:
            since = connection.execute(select(CLIENT.c.created_at).where(CLIENT.c.id == client_id)).scalar_one()
            log = self._access_log(connection, client_id, 0, None)
        found = {
            "format": "pe_ray.export.v1",
            "client_id": client_id,
            "client_since": since,
            "exported_at": self._repo.now(),
            "entries": self.entries.unaudited(client_id),
            "sessions": self.sessions.unaudited(client_id),
            "goals": self.goals.unaudited(client_id),
            "assessments": self.assessments.unaudited(client_id),
            "access_log": log,
        }
        self._repo.note_read(who, "export.read", client_id)
        return found

    def erase(self, client_id: str, who: Principal = LOCAL) -> bool:
        """Destroy a client's keys, then their rows; True when nothing readable is left in the live files.

        False while an open reader keeps the wrapped keys in the write-ahead log: call again. The audit chain stays
        whole and no longer leads to the person. A backup of the `keys` database still holds the wrapped keys until the
        key-encryption key is replaced.
        """
        with self._repo.reading(client_id):
            begun, done = (self._repo.event(who, f"erasure.{step}", client_id) for step in ("begin", "done"))
        self._repo.write(lambda connection: audit.append(connection, [begun]))
        if not self._repo.keystore.destroy(client_id):
            return False

        def work(connection: Connection) -> None:
            for table in OF_CLIENT:
                connection.execute(delete(table).where(table.c.client_id == client_id))
            connection.execute(delete(CLIENT).where(CLIENT.c.id == client_id))
            audit.append(connection, [done])

        self._repo.write(work)
        return True

    def note_read(self, who: Principal, action: str, client_id: str) -> None:
        """Put a read that was put together elsewhere (a report) into the audit chain."""
        self._repo.note_read(who, action, client_id)

    def verify(self) -> audit.Verification:
        """Check the whole audit chain."""
        with self._repo.reading() as connection:
            return audit.verify(connection)

    def close(self) -> None:
        """Finish what was asked for and close the databases."""
        self._repo.close()

    def _access_log(
        self, connection: Connection, client_id: str, after: int, limit: int | None
    ) -> list[dict[str, Any]]:
        table = audit.AUDIT
        columns = [table.c[n] for n in ("seq", "at", "actor", "role", "action", "object_ref", "outcome")]
        mine = (table.c.subject_ref == self._repo.subject_ref(client_id), table.c.seq > after)
        query = select(*columns).where(*mine).order_by(table.c.seq).limit(limit)
        return [dict(row) for row in connection.execute(query).mappings()]

    def _set_aside(self, refused: Sequence[tuple[str, bytes, str]]) -> None:
        at = self._repo.now()

        def work(connection: Connection) -> None:
            for id, sealed, reason in refused:
                if connection.execute(select(REFUSED.c.id).where(REFUSED.c.id == id)).first() is None:
                    row = {"id": id, "sealed": sealed, "reason": reason, "received_at": at}
                    connection.execute(insert(REFUSED).values(**row))

        self._repo.write(work)


def verify_audit(home: Home) -> audit.Verification:
    """Check the audit chain of a home while another process writes it (`pe-ray audit verify`)."""
    engine = open_database(home.database("journal"), MIGRATIONS, read_only=True)
    try:
        with engine.begin() as connection:
            return audit.verify(connection)
    finally:
        engine.dispose()
