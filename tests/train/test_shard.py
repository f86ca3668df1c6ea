"""A base that is sharded over two processes computes what replicated ones do, and its checkpoint goes on anywhere."""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from tests.train.sharded import HALF, STEPS, losses

ROOT = Path(__file__).parents[2]


@cache
def ranks() -> tuple[Path, dict]:
    """Two real processes, once replicated and once sharded, run once however many tests ask; what rank 0 saw."""
    out = Path(tempfile.mkdtemp(prefix="pe_ray-test-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    command = [sys.executable, "-m", "tests.train.sharded"]
    with (out / "log").open("w") as log:
        both = [
            subprocess.Popen([*command, str(r), port, str(out)], cwd=ROOT, stdout=log, stderr=log) for r in range(2)
        ]
        try:
            codes = [p.wait(400) for p in both]
        finally:
            for p in both:
                p.kill()
    assert codes == [0, 0], (out / "log").read_text()[-3000:]
    return out, json.loads((out / "found.json").read_text())


def test_a_sharded_base_computes_what_replicated_ones_do() -> None:
    _, found = ranks()
    assert len(found["replicated"]) == STEPS and len(found["sharded"]) == HALF
    assert found["sharded"] == pytest.approx(found["replicated"][:HALF], rel=1e-6)


def test_a_checkpoint_of_a_sharded_run_goes_on_in_another_layout() -> None:
    """Two sharded ranks, then one process that holds everything."""
    out, found = ranks()
    again = Path(shutil.copytree(out / "sharded", tempfile.mkdtemp(dir=out), dirs_exist_ok=True))
    rest = losses(again, None, STEPS)
    assert found["sharded"] + rest == pytest.approx(found["replicated"], rel=1e-6)
