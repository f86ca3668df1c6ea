"""Each client's own keys: made at first use, wrapped in the `keys` database, destroyed to erase the client.

A value sealed under a destroyed key is noise, wherever a copy of it lies; the wrapped key in an old backup of the
`keys` database dies when the key-encryption key is replaced.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from sqlalchemy import ColumnElement, and_, delete, insert, select
from sqlalchemy.exc import IntegrityError

from pe_ray.errors import ClientNotFound, SealError
from pe_ray.security.envelope import DataKey, Place
from pe_ray.security.key_tables import CLIENT_KEY, now, open_keys
from pe_ray.security.keys import Keys
from pe_ray.store.db import truncate_wal
from pe_ray.store.paths import Home

Purpose = Literal["general", "pseudonym"]
"""general seals the client's fields; pseudonym names the client in the audit chain."""

Slot = tuple[str, str, int | None]


class Keystore:
    """The clients' keys. Thread-safe; unwrapped keys are kept for `ttl_s` seconds, the last `capacity` of them.

    Python cannot be made to overwrite memory: a key that was used may lie in this process's memory until it ends.
    """

    def __init__(
        self,
        home: Home,
        keys: Keys,
        *,
        capacity: int = 256,
        ttl_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys, self._capacity, self._ttl_s, self._clock = keys, capacity, ttl_s, clock
        self._engine = open_keys(home)
        self._lock = threading.Lock()
        self._cache: OrderedDict[Slot, tuple[float, DataKey]] = OrderedDict()

    def current(self, client_id: str, purpose: Purpose = "general", *, create: bool = False) -> DataKey:
        """The key that seals now. Raises ClientNotFound where there is none and `create` is False."""
        with self._lock:
            found = self._cached((client_id, purpose, None)) or self._load(client_id, purpose, None)
            if found is None and create:
                found = self._create(client_id, purpose)
        if found is None:
            raise ClientNotFound("no such client")
        return found

    def version(self, client_id: str, version: int, purpose: Purpose = "general") -> DataKey:
        """The key of a version, to open what it sealed. Raises SealError where it does not exist (any more)."""
        with self._lock:
            slot = (client_id, purpose, version)
            found = self._cached(slot) or self._load(*slot)
        if found is None:
            raise SealError(f"no {purpose} key of version {version}: it was destroyed, or never made")
        return found

    def destroy(self, client_id: str) -> bool:
        """Destroy every key of a client: what they sealed can never be opened again.

        False while a reader still holds the old pages of the write-ahead log on disk; call again until True.
        """
        with self._lock:
            with self._engine.begin() as connection:
                connection.execute(delete(CLIENT_KEY).where(CLIENT_KEY.c.client_id == client_id))
            for slot in [s for s in self._cache if s[0] == client_id]:
                del self._cache[slot]
            return truncate_wal(self._engine)

    def close(self) -> None:
        """Close the database and forget unwrapped keys."""
        with self._lock:
            self._cache.clear()
            self._engine.dispose()

    def _cached(self, slot: Slot) -> DataKey | None:
        entry = self._cache.get(slot)
        if entry is None or self._clock() - entry[0] > self._ttl_s:
            self._cache.pop(slot, None)
            return None
        self._cache.move_to_end(slot)
        return entry[1]

    def _load(self, client_id: str, purpose: str, version: int | None) -> DataKey | None:
        wanted: list[ColumnElement[bool]] = [CLIENT_KEY.c.client_id == client_id, CLIENT_KEY.c.purpose == purpose]
        if version is not None:
            wanted.append(CLIENT_KEY.c.version == version)
        query = select(CLIENT_KEY.c.version, CLIENT_KEY.c.wrapped_dek).where(and_(*wanted))
        with self._engine.begin() as connection:
            row = connection.execute(query.order_by(CLIENT_KEY.c.version.desc()).limit(1)).first()
        if row is None:
            return None
        key = DataKey(row.version, self._keys.unwrap(row.wrapped_dek, _place(client_id, purpose, row.version)))
        return self._keep((client_id, purpose, version), key)

    def _create(self, client_id: str, purpose: str) -> DataKey:
        key = DataKey(1, secrets.token_bytes(32))
        row = {
            "client_id": client_id,
            "purpose": purpose,
            "version": key.version,
            "kek_id": self._keys.key_id,
            "wrapped_dek": self._keys.wrap(key.secret, _place(client_id, purpose, key.version)),
            "created_at": now(),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(CLIENT_KEY).values(**row))
        except IntegrityError:  # another replica made it between our look and our insert
            found = self._load(client_id, purpose, None)
            assert found is not None
            return found
        return self._keep((client_id, purpose, None), key)

    def _keep(self, slot: Slot, key: DataKey) -> DataKey:
        self._cache[slot] = (self._clock(), key)
        while len(self._cache) > self._capacity:
            self._cache.popitem(last=False)
        return key


def _place(client_id: str, purpose: str, version: int) -> Place:
    return Place("client_key", "wrapped_dek", f"{purpose}/{version}", client_id)
