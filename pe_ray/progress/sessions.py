"""Therapy sessions: when they were, how they were held, and a sealed summary."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update
from ulid import ULID

from pe_ray.errors import ClientNotFound
from pe_ray.progress.repository import Repository, instant
from pe_ray.progress.tables import SESSION
from pe_ray.security import audit
from pe_ray.security.access import LOCAL
from pe_ray.security.api_keys import Principal

Channel = Literal["ai", "human", "import"]


class Sessions:
    """The sessions of all clients."""

    def __init__(self, repository: Repository) -> None:
        self._repo = repository

    def start(
        self,
        client_id: str,
        channel: Channel = "human",
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        summary: str | None = None,
        who: Principal = LOCAL,
    ) -> str:
        """Note a session, held or beginning; its id."""
        repo, id = self._repo, str(ULID())
        enrol = repo.enrol([client_id])
        row = {
            "client_id": client_id,
            "id": id,
            "channel": channel,
            "started_at": instant(started_at or repo.clock()),
            "ended_at": instant(ended_at) if ended_at else None,
            "summary": repo.seal(SESSION, "summary", client_id, id, summary) if summary else None,
        }
        event = repo.event(who, "sessions.start", client_id, id)

        def work(connection: Connection) -> None:
            enrol(connection)
            connection.execute(insert(SESSION).values(**row))
            audit.append(connection, [event])

        repo.write(work)
        return id

    def end(
        self,
        client_id: str,
        session_id: str,
        ended_at: datetime | None = None,
        summary: str | None = None,
        who: Principal = LOCAL,
    ) -> None:
        """Note that a session ended, and what it was about. Raises ClientNotFound for a session that is not theirs."""
        repo = self._repo
        with repo.reading(client_id):
            values: dict[str, Any] = {"ended_at": instant(ended_at or repo.clock())}
        if summary is not None:
            values["summary"] = repo.seal(SESSION, "summary", client_id, session_id, summary)
        event = repo.event(who, "sessions.end", client_id, session_id)

        def work(connection: Connection) -> None:
            mine = (SESSION.c.client_id == client_id, SESSION.c.id == session_id)
            if connection.execute(update(SESSION).where(*mine).values(**values)).rowcount != 1:
                raise ClientNotFound("no such session")
            audit.append(connection, [event])

        repo.write(work)

    def list(self, client_id: str, who: Principal = LOCAL) -> list[dict[str, Any]]:
        """All sessions of a client in the order in which they began."""
        found = self.unaudited(client_id)
        self._repo.note_read(who, "sessions.read", client_id)
        return found

    def unaudited(self, client_id: str) -> list[dict[str, Any]]:
        """The same for a caller that audits a larger read (a report, an export)."""
        with self._repo.reading(client_id) as connection:
            query = select(SESSION).where(SESSION.c.client_id == client_id).order_by(SESSION.c.started_at)
            rows = connection.execute(query).mappings().all()
        return [
            {
                **{name: row[name] for name in ("id", "channel", "started_at", "ended_at")},
                "summary": self._repo.opened(SESSION, "summary", row) if row["summary"] else None,
            }
            for row in rows
        ]


def note_begun(connection: Connection, client_id: str, session_id: str, at: str) -> None:
    """A session that an entry names and nobody has started yet, in the transaction of that entry."""
    mine = (SESSION.c.client_id == client_id, SESSION.c.id == session_id)
    if connection.execute(select(SESSION.c.id).where(*mine)).first() is None:
        row = {"client_id": client_id, "id": session_id, "channel": "ai", "started_at": at}
        connection.execute(insert(SESSION).values(**row))
