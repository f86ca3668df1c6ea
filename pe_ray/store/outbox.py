"""A durable queue beside the gateway: what is acknowledged to a client stands here until the journal has it.

One SQLite file per gateway process, synchronous=FULL. Values come sealed. Delivery is at least once and the journal
ignores an id that it has, so nothing is lost and nothing stands twice.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pe_ray.errors import PeRayError

URGENT, ORDINARY = 0, 1
"""Lanes: a crisis event is delivered before ordinary entries."""


@dataclass(frozen=True)
class Parcel:
    """One sealed value under way; `seq` is its place in this file."""

    seq: int
    id: str
    sealed: bytes
    lane: int = ORDINARY


class Outbox:
    """The queue of one file. Thread-safe; one process owns a file, another may adopt it when the owner is gone."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        owner = _lock(path)
        if owner is None:
            raise PeRayError(f"{path}: another process owns this outbox")
        self._owner = owner
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        path.chmod(0o600)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "mmap_size=0"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS parcel (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,"
            " lane INTEGER NOT NULL, sealed BLOB NOT NULL, put_at REAL NOT NULL)"
        )

    def put(self, id: str, sealed: bytes, lane: int = ORDINARY) -> None:
        """Keep a value; when this returns it is on disk. The same id twice is one parcel."""
        with self._lock:
            self._db.execute(
                "INSERT OR IGNORE INTO parcel (id, lane, sealed, put_at) VALUES (?, ?, ?, ?)",
                (id, lane, sealed, time.time()),
            )

    def peek(self, limit: int = 64) -> list[Parcel]:
        """The next parcels to deliver: urgent ones first, then in order of arrival."""
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, id, sealed FROM parcel ORDER BY lane, seq LIMIT ?", (limit,)
            ).fetchall()
        return [Parcel(*row) for row in rows]

    def delivered(self, parcels: Sequence[Parcel]) -> None:
        """Forget parcels that the journal has acknowledged."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM parcel WHERE seq = ?", [(p.seq,) for p in parcels])
            self._db.execute("COMMIT")

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM parcel").fetchone()[0])

    def oldest_s(self) -> float:
        """Seconds that the oldest parcel has waited; 0 for an empty outbox."""
        with self._lock:
            at = self._db.execute("SELECT MIN(put_at) FROM parcel").fetchone()[0]
        return max(0.0, time.time() - at) if at is not None else 0.0

    @classmethod
    def claim(cls, path: Path) -> Outbox | None:
        """The outbox of a process that is gone; None while its owner lives."""
        owner = _lock(path)
        if owner is None:
            return None
        os.close(owner)
        return cls(path)

    def close(self) -> None:
        """Close the file and give up its ownership."""
        with self._lock:
            self._db.close()
            os.close(self._owner)

    def remove(self) -> None:
        """Close an empty outbox and delete its file."""
        assert len(self) == 0, "an outbox with parcels in it is not removed"
        self.close()
        for name in ("", "-wal", "-shm", ".lock"):
            self.path.with_name(self.path.name + name).unlink(missing_ok=True)


def _lock(path: Path) -> int | None:
    """Take the file's lock, which ends with the process; the descriptor, or None if somebody has it."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
