"""The meter counts a child's work too, also when the child has ended."""

from __future__ import annotations

import subprocess
import sys

from pe_ray.monitor.meter import Meter
from pe_ray.monitor.metrics import exposition


def test_a_child_that_has_ended_is_counted() -> None:
    with Meter(every_s=0.05) as meter:
        subprocess.run([sys.executable, "-c", "x = bytearray(80_000_000)\nfor i in range(6_000_000): pass"], check=True)
    assert meter.cpu_s > 0.1
    assert meter.peak_memory_gib > 0.08
    assert meter.elapsed_s > 0


def test_metrics_are_exposed_by_name() -> None:
    assert b"pe_requests_total" in exposition()
