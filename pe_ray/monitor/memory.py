"""Memory that a process no longer needs goes back to the machine, and what stays is not looked through again.

Arrow and the C library keep what they have freed for the next request. A worker that waits, beside a driver that is at
its largest, would hold some hundred megabytes of nothing.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled() -> Iterator[None]:
    """While the block runs, the garbage collector leaves alone what was there before: modules, rules, models.

    It would look through all of it again and again: a fifth of the time of judging texts, and pauses of a tenth of a
    second in a process that has torch. Load what stays before the block.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def give_back() -> None:
    """Return freed memory; costs some milliseconds, so call it after a task and not within one."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)
