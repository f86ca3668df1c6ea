"""One writer: many callers, one connection, one commit for all that has piled up.

SQLite starves many writers (seconds for the unlucky one) and rewards one that commits in groups. A caller's `run`
returns when its part is committed, so what was acknowledged survives a kill.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

from pe_ray.errors import PeRayError

T = TypeVar("T")
MAX_BATCH = 64
MAX_BATCH_S = 0.005


@dataclass
class _Job(Generic[T]):
    work: Callable[[Connection], T]
    done: Future[T] = field(default_factory=Future)


class Writer:
    """A thread that runs pieces of work in shared transactions.

    A batch closes at 64 pieces, after 5 ms, or when nobody waits. Each piece has a savepoint: one that fails takes back
    its own rows and raises at its caller; the others commit.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock_file = _claim(engine)
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="pe_ray-journal-writer", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Connection], T], timeout_s: float = 30.0) -> T:
        """Do `work` in a transaction and return its result once that is committed.

        Raises what `work` raised, or TimeoutError: then the work may still be committed later.
        """
        if self._closed:
            raise PeRayError("the journal is closed")
        job = _Job(work)
        self._queue.put(job)
        return job.done.result(timeout_s)

    def close(self) -> None:
        """Finish what was asked for, then stop."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()
            if self._lock_file is not None:
                os.close(self._lock_file)

    def _serve(self) -> None:
        with self._engine.connect() as connection:
            while (first := self._queue.get()) is not None:
                if self._commit(connection, first):
                    return

    def _commit(self, connection: Connection, first: _Job[Any]) -> bool:
        """Run a batch that begins with `first`; True if the order to stop was found behind it."""
        finished: list[tuple[_Job[Any], Any]] = []
        failed: list[tuple[_Job[Any], BaseException]] = []
        stop, ends = False, time.monotonic() + MAX_BATCH_S
        job: _Job[Any] | None = first
        try:
            with connection.begin():
                while job is not None:
                    savepoint = connection.begin_nested()
                    try:
                        result = job.work(connection)
                        savepoint.commit()
                        finished.append((job, result))
                    except Exception as error:  # noqa: BLE001 (it belongs to the caller of this piece)
                        failed.append((job, error))
                        savepoint.rollback()  # fails where SQLite has taken back the whole batch (a full disk)
                    job = None
                    if len(finished) + len(failed) < MAX_BATCH and time.monotonic() < ends:
                        with contextlib.suppress(queue.Empty):
                            job = self._queue.get_nowait()
                            stop = job is None
        except Exception as error:  # noqa: BLE001 (the commit itself failed: nobody is acknowledged)
            failed += [(job, error) for job, _ in finished]
            finished = []
            connection.invalidate()
        for job, error in failed:
            job.done.set_exception(error)
        for job, result in finished:
            job.done.set_result(result)
        return stop


def _claim(engine: Engine, wait_s: float = 10.0) -> int | None:
    """Hold the lock beside a SQLite file for as long as this process lives; PostgreSQL needs none.

    Raises PeRayError if another process writes there: two writers can corrupt a file with SQLite before 3.51.3.
    """
    path = engine.url.database
    if engine.dialect.name != "sqlite" or path in (None, "", ":memory:"):
        return None
    descriptor = os.open(Path(f"{path}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    ends = time.monotonic() + wait_s  # a replica that is being replaced may need a moment to leave
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > ends:
                os.close(descriptor)
                raise PeRayError(f"{path}: another process writes this journal; stop it first") from None
            time.sleep(0.1)
