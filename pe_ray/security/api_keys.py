"""Bearer keys of production: shown once, kept as a hash, for one role and named clients, for at most 90 days.

    pr_<id, 12 hex digits>_<secret, 256 bits>

A secret of 256 random bits needs no slow hash: SHA-256 of it cannot be searched. Clients stand in the `ops` database as
pseudonyms only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, update

from pe_ray.errors import UserError
from pe_ray.security.keys import Keys
from pe_ray.security.text import CLIENT_ID
from pe_ray.store.db import open_database
from pe_ray.store.ops import API_KEY, MIGRATIONS
from pe_ray.store.paths import Home

ROLES = ("client", "therapist", "operator")
MAX_DAYS = 90
_TOKEN = re.compile(r"pr_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Principal:
    """Who asks: an API key's id and role, and pseudonyms of the clients that it may act for."""

    id: str
    role: str
    subjects: frozenset[str] = field(default=frozenset(), repr=False)


class ApiKeys:
    """The keys of an installation."""

    def __init__(self, home: Home, keys: Keys, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        url = home.database("ops")
        self._writer = open_database(url, MIGRATIONS)
        self._reader = open_database(url, MIGRATIONS, read_only=True)
        self._pseudonym_key, self._clock = keys.derive("api-key-subject"), clock

    def issue(self, role: str, name: str, clients: Sequence[str] = (), days: int = MAX_DAYS) -> str:
        """A new key; this is the only time that it is seen.

        Raises UserError for an unknown role, more than 90 days, or clients that do not fit the role: a client's key is
        for one client, a therapist's for at least one, an operator's for none.
        """
        problems = list(_problems(role, clients, days))
        if problems:
            raise UserError(*problems)
        id, secret, at = secrets.token_hex(6), secrets.token_urlsafe(32), self._clock()
        row = {
            "id": id,
            "secret_hash": hashlib.sha256(secret.encode()).digest(),
            "role": role,
            "name": name,
            "subjects": " ".join(sorted(map(self.subject, clients))),
            "created_at": _text(at),
            "expires_at": _text(at + timedelta(days=days)),
        }
        with self._writer.begin() as connection:
            connection.execute(insert(API_KEY).values(**row))
        return f"pr_{id}_{secret}"

    def check(self, authorization: str | None) -> Principal | None:
        """Whose key an `Authorization` header carries; None for one that is wrong, expired, revoked or absent."""
        scheme, _, token = (authorization or "").partition(" ")
        match = _TOKEN.fullmatch(token.strip())
        if scheme.lower() != "bearer" or match is None:
            return None
        id, secret = match.groups()
        with self._reader.begin() as connection:
            row = connection.execute(select(API_KEY).where(API_KEY.c.id == id)).first()
        stored = row.secret_hash if row is not None else bytes(32)
        if not hmac.compare_digest(stored, hashlib.sha256(secret.encode()).digest()):
            return None
        if row is None or row.revoked_at is not None or row.expires_at <= _text(self._clock()):
            return None
        return Principal(row.id, row.role, frozenset(row.subjects.split()))

    def revoke(self, id: str) -> bool:
        """End a key at once; False if there is none of that id in force."""
        with self._writer.begin() as connection:
            ended = connection.execute(
                update(API_KEY)
                .where(API_KEY.c.id == id, API_KEY.c.revoked_at.is_(None))
                .values(revoked_at=_text(self._clock()))
            )
        return ended.rowcount == 1

    def list(self) -> list[dict[str, str | None]]:
        """All keys without their hashes or clients, newest first."""
        columns = [API_KEY.c[n] for n in ("id", "role", "name", "created_at", "expires_at", "revoked_at")]
        with self._reader.begin() as connection:
            rows = connection.execute(select(*columns).order_by(API_KEY.c.created_at.desc())).mappings()
            return [dict(row) for row in rows]

    def subject(self, client_id: str) -> str:
        """The pseudonym of a client in this table."""
        return hmac.digest(self._pseudonym_key, client_id.encode(), hashlib.sha256)[:16].hex()

    def close(self) -> None:
        """Close the database."""
        self._writer.dispose()
        self._reader.dispose()


def _problems(role: str, clients: Sequence[str], days: int) -> list[str]:
    found = []
    if role not in ROLES:
        return [f"role={role!r}: one of {', '.join(ROLES)} is wanted"]
    if not 0 < days <= MAX_DAYS:
        found.append(f"days={days}: from 1 to {MAX_DAYS} is wanted")
    wanted = {"client": len(clients) == 1, "therapist": len(clients) >= 1, "operator": not clients}
    if not wanted[role]:
        rule = {"client": "exactly one client", "therapist": "at least one client", "operator": "no client"}[role]
        found.append(f"clients: {len(clients)} given; a key of role {role} is for {rule}")
    if not all(re.fullmatch(CLIENT_ID, c) for c in clients):
        found.append("clients: an id has 1 to 64 letters, digits, dots, dashes or underscores")
    return found


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
