"""What the outbox acknowledged is there after a kill, once, urgent things first."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from pe_ray.store.outbox import URGENT, Outbox


def test_urgent_parcels_leave_first_and_each_once(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "o" / "a.db")
    box.put("1", b"x")
    box.put("2", b"y", lane=URGENT)
    box.put("1", b"again")
    assert [(p.id, p.sealed) for p in box.peek()] == [("2", b"y"), ("1", b"x")]
    box.delivered(box.peek(1))
    assert [p.id for p in box.peek()] == ["1"]
    assert len(box) == 1
    assert box.oldest_s() >= 0


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from pe_ray.store.outbox import Outbox\n"
        "box = Outbox(Path(sys.argv[1]))\n"
        "for i in range(1000):\n"
        "    box.put(str(i), b'x'); print(i, flush=True)\n"
        "    if i == 50: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.db")], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    acknowledged = done.stdout.split()
    assert len(acknowledged) == 51
    assert {p.id for p in Outbox(tmp_path / "a.db").peek(10_000)} >= set(acknowledged)
