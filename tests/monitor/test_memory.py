"""Freed memory really goes back: a process that held much and freed it is small again."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from pe_ray.monitor.memory import settled

CODE = """
import psutil, pyarrow as pa
from pe_ray.monitor.memory import give_back
me = psutil.Process()
held = [str(n) * 20 for n in range(800_000)]
table = pa.table({"text": held}).take(pa.array(range(800_000)))
del held, table
before = me.memory_info().rss
give_back()
print(before / 2**20, me.memory_info().rss / 2**20)
"""


def test_what_stays_is_left_alone_and_what_comes_is_collected() -> None:
    class Node:
        pass

    before = gc.get_freeze_count()
    with settled():
        assert gc.get_freeze_count() > before
        one, other = Node(), Node()
        one.peer, other.peer = other, one  # type: ignore[attr-defined]
        gone = weakref.ref(one)
        del one, other
        gc.collect()
        assert gone() is None
    assert gc.get_freeze_count() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_what_was_freed_is_given_back() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    before, after = map(float, ended.stdout.split())
    assert after < before
