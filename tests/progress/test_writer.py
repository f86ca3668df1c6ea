"""What was acknowledged is there after a kill; a piece that fails takes nobody with it; there is one writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from pe_ray.errors import PeRayError
from pe_ray.progress.journal import Journal, verify_audit
from pe_ray.progress.writer import Writer, _claim
from pe_ray.security.keys import Keys
from pe_ray.store.db import open_database
from pe_ray.store.paths import Home
from tests.progress.conftest import sqlite_only


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(
        f"sqlite:///{tmp_path}/w.db", [lambda c: c.execute(text("CREATE TABLE t (id TEXT PRIMARY KEY, v BLOB)"))]
    )


def put(id: str):
    return lambda c: c.execute(text("INSERT INTO t VALUES (:id, NULL)"), {"id": id}).rowcount


def rows(engine: Engine) -> set[str]:
    with engine.begin() as c:
        return set(c.execute(text("SELECT id FROM t")).scalars())


def test_many_callers_share_commits(engine: Engine) -> None:
    commits: list[int] = []
    event.listen(engine, "commit", lambda _: commits.append(1))
    writer = Writer(engine)
    gate = threading.Event()
    blocked = threading.Thread(target=lambda: writer.run(lambda c: gate.wait(5)))
    blocked.start()
    callers = [threading.Thread(target=writer.run, args=(put(str(i)),)) for i in range(50)]
    for caller in callers:
        caller.start()
    while writer._queue.qsize() < 50:
        pass
    gate.set()
    for caller in [*callers, blocked]:
        caller.join()
    writer.close()
    assert rows(engine) == {str(i) for i in range(50)}
    assert len(commits) < 20


def test_a_piece_that_fails_takes_back_its_own_rows_only(engine: Engine) -> None:
    writer = Writer(engine)

    def half(c) -> None:
        put("half")(c)
        raise RuntimeError("no")

    assert writer.run(put("a")) == 1
    with pytest.raises(RuntimeError, match="no"):
        writer.run(half)
    with pytest.raises(Exception, match="UNIQUE"):
        writer.run(put("a"))
    assert writer.run(put("b")) == 1
    writer.close()
    assert rows(engine) == {"a", "b"}
    with pytest.raises(PeRayError, match="closed"):
        writer.run(put("c"))


def test_a_full_disk_is_an_error_and_no_half_row(engine: Engine) -> None:
    writer = Writer(engine)
    writer.run(put("a"))
    writer.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count=8"))
    large = lambda c: c.execute(text("INSERT INTO t VALUES ('big', zeroblob(200000))"))  # noqa: E731
    with pytest.raises(OperationalError, match="full"):
        writer.run(large)
    writer.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count=100000"))
    writer.run(put("b"))
    writer.close()
    assert rows(engine) == {"a", "b"}


def test_a_second_writer_of_the_same_file_is_refused(engine: Engine) -> None:
    writer = Writer(engine)
    with pytest.raises(PeRayError, match="another process writes this journal"):
        _claim(engine, wait_s=0)
    writer.close()
    descriptor = _claim(engine, wait_s=0)
    assert descriptor is not None
    os.close(descriptor)


APPENDER = """
import os, sys, threading
from pe_ray.store.paths import Home
from pe_ray.progress.journal import Journal
from pe_ray.record import JournalEntry
from pe_ray.security.keys import Keys
home = Home.at(sys.argv[1])
journal = Journal(home, Keys(home))
def run(name):
    for i in range(100000):
        entry = JournalEntry(f"{sys.argv[2]}-{name}-{i}", "ada", "2026-01-01T00:00:00Z", "note", {"text": "x" * 200})
        journal.append([entry])
        os.write(1, f"{entry.id}\\n".encode())
for name in "abc":
    threading.Thread(target=run, args=(name,), daemon=True).start()
threading.Event().wait()
"""


@sqlite_only
def test_kill_9_loses_nothing_that_was_acknowledged(home: Home) -> None:
    acknowledged: list[str] = []
    for round in range(3):
        command = [sys.executable, "-c", APPENDER, str(home.root), str(round)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            wanted = 7 + 40 * round  # killed at another point of its life every time
            acknowledged += [process.stdout.readline().strip() for _ in range(wanted)]
            process.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    assert len(acknowledged) >= 7 + 47 + 87
    journal = Journal(home, Keys(home))
    kept, after = [], None
    while True:
        page, after = journal.items("ada", after, 500)
        kept += [item["id"] for item in page]
        if after is None:
            break
    appended = [h for h in journal.history("ada", limit=10_000)[0] if h["action"] == "journal.append"]
    journal.close()
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept)) == len(appended)
    assert verify_audit(home).first_bad_seq is None
