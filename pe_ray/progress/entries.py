"""Journal entries: messages, notes, moods, crises. Appended once, never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from pe_ray.errors import UserError
from pe_ray.progress.repository import Repository, Row, instant
from pe_ray.progress.sessions import note_begun
from pe_ray.progress.tables import ENTRY
from pe_ray.record import JournalEntry
from pe_ray.security import audit
from pe_ray.security.access import LOCAL
from pe_ray.security.api_keys import Principal
from pe_ray.security.text import CLIENT_ID, is_storable

KINDS = ("message", "crisis", "note", "mood", "assessment")


class Entries:
    """The entries of all clients."""

    def __init__(self, repository: Repository) -> None:
        self._repo = repository

    def append(self, entries: Sequence[JournalEntry], who: Principal = LOCAL) -> list[str]:
        """Keep entries; when this returns they are on disk, each once, with an audit row each.

        Idempotent: an id that a client has already is left as it is. Returns the ids in the order given. Raises
        UserError for an entry that is not sound (see `checked`); then nothing of this call is kept.
        """
        repo = self._repo
        sound = [checked(e) for e in entries]
        enrol = repo.enrol(sorted({e.client_id for e in sound}))
        rows = [sealed_row(repo, e, who) for e in sound]

        def work(connection: Connection) -> None:
            enrol(connection)
            insert_entries(repo, connection, rows, who)

        try:
            repo.write(work)
        except IntegrityError:  # another replica (PostgreSQL) kept one of them between our look and our insert
            repo.write(work)
        return [e.id for e in entries]

    def page(
        self, client_id: str, after: str | None = None, limit: int = 100, who: Principal = LOCAL
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Entries in the order in which they were kept, and the cursor of the next page (None at the end).

        `after` is the id of the last entry seen; UserError for one that this client does not have.
        """
        with self._repo.reading(client_id) as connection:
            start = self._place(connection, client_id, after) if after is not None else 0
            query = select(ENTRY).where(ENTRY.c.client_id == client_id, ENTRY.c.seq > start).order_by(ENTRY.c.seq)
            rows = connection.execute(query.limit(limit + 1)).mappings().all()
        self._repo.note_read(who, "journal.read", client_id)
        more = len(rows) > limit
        found = [self.shown(row) for row in rows[:limit]]
        return found, (found[-1]["id"] if more else None)

    def latest(self, client_id: str, limit: int) -> list[dict[str, Any]]:
        """The last entries, newest first, for a caller that audits the read."""
        with self._repo.reading(client_id) as connection:
            query = select(ENTRY).where(ENTRY.c.client_id == client_id).order_by(ENTRY.c.seq.desc()).limit(limit)
            rows = connection.execute(query).mappings().all()
        return [self.shown(row) for row in rows]

    def unaudited(self, client_id: str) -> list[dict[str, Any]]:
        """All entries for a caller that audits a larger read (an export)."""
        with self._repo.reading(client_id) as connection:
            query = select(ENTRY).where(ENTRY.c.client_id == client_id).order_by(ENTRY.c.seq)
            rows = connection.execute(query).mappings().all()
        return [self.shown(row) for row in rows]

    def kinds(self, client_id: str) -> list[tuple[str, str]]:
        """(time, kind) of every entry, without opening any."""
        with self._repo.reading(client_id) as connection:
            query = select(ENTRY.c.at, ENTRY.c.kind).where(ENTRY.c.client_id == client_id)
            return [(row.at, row.kind) for row in connection.execute(query)]

    def shown(self, row: Row) -> dict[str, Any]:
        """An entry as a reader sees it: the person's words as `text`, and beside it what else the body holds.

        One that cannot be opened has `text` None and `unreadable` true.
        """
        body = self._repo.opened(ENTRY, "body", row)
        plain = {name: row[name] for name in ("id", "response_id", "at", "kind", "author", "session_id")}
        if body is None:
            return {**plain, "text": None, "unreadable": True}
        rest = {k: v for k, v in body.items() if k not in plain and k != "text"}
        return {**plain, "text": body.get("text"), **rest}

    def _place(self, connection: Connection, client_id: str, id: str) -> int:
        mine = (ENTRY.c.client_id == client_id, ENTRY.c.id == id)
        seq = connection.execute(select(ENTRY.c.seq).where(*mine)).scalar()
        if seq is None:
            raise UserError("after: no entry of that id; use `next` of the page before")
        return int(seq)


def sealed_row(repo: Repository, entry: JournalEntry, who: Principal) -> dict[str, Any]:
    """An entry as it rests in its table."""
    return {
        "id": entry.id,
        "client_id": entry.client_id,
        "at": entry.at,
        "kind": entry.kind,
        "author": who.role,
        "response_id": entry.response_id,
        "session_id": entry.session_id,
        "body": repo.seal(ENTRY, "body", entry.client_id, entry.id, dict(entry.body)),
    }


def insert_entries(repo: Repository, connection: Connection, rows: Sequence[Row], who: Principal) -> None:
    """Insert the rows that are new, begin the sessions that they name, and audit each, in one transaction."""
    ordered = sorted(rows, key=lambda row: str(row["client_id"]))
    for client_id, group in groupby(ordered, key=lambda row: str(row["client_id"])):
        mine = {row["id"]: row for row in reversed(list(group))}  # the first of equal ids stays
        query = select(ENTRY.c.id).where(ENTRY.c.client_id == client_id, ENTRY.c.id.in_(list(mine)))
        have = set(connection.execute(query).scalars())
        new = [row for row in rows if mine.get(row["id"]) is row and row["id"] not in have]
        for row in new:
            if row["session_id"] is not None:
                note_begun(connection, client_id, row["session_id"], row["at"])
        if new:
            connection.execute(insert(ENTRY), [dict(row) for row in new])
        audit.append(connection, [repo.event(who, "journal.append", client_id, row["id"]) for row in new])


def checked(entry: JournalEntry) -> JournalEntry:
    """The entry with its time in UTC. Raises UserError for a malformed id, an unknown kind, or no time."""
    if not all(isinstance(id, str) and re.fullmatch(CLIENT_ID, id) for id in (entry.id, entry.client_id)):
        raise UserError("id: an id has 1 to 64 letters, digits, dots, dashes or underscores")
    for reference in (entry.session_id, entry.response_id):
        if reference is not None and not (
            isinstance(reference, str) and is_storable(reference) and len(reference) < 200
        ):
            raise UserError("session_id and response_id: a reference is text of fewer than 200 characters")
    if not isinstance(entry.body, Mapping):
        raise UserError("body: an object with `text` is wanted")
    if entry.kind not in KINDS:
        raise UserError(f"kind: one of {', '.join(KINDS)} is wanted")
    try:
        at = datetime.fromisoformat(entry.at)
        normal = instant(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, TypeError, OverflowError):
        raise UserError("at: an ISO 8601 time is wanted, for example 2026-01-01T09:00:00Z") from None
    return JournalEntry(entry.id, entry.client_id, normal, entry.kind, entry.body, entry.response_id, entry.session_id)
