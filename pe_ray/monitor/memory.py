"""Memory that a process no longer needs goes back to the machine.

Arrow and the C library keep what they have freed for the next request. A worker that waits, beside a driver that is at
its largest, would hold some hundred megabytes of nothing.
"""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Return freed memory; costs some milliseconds, so call it after a task and not within one."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)
