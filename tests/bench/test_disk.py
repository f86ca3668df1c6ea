"""A disk that is full and then is not: a program that writes too much fails on it, and later succeeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pe_ray.bench import disk, killing

WRITE = (
    "import sys, pathlib; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True); (p / 'x').write_bytes(b'0' * 400_000)"
)


@pytest.mark.parametrize("kind", ["file system", "file size"])
def test_what_does_not_fit_fails_and_fits_later(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "file size":
        monkeypatch.setattr(disk, "_holder", lambda folder, size: disk._piped(["false"]))
    with disk.full_disk(tmp_path / "disk", whole=500_000, largest=500_000, share=0.5) as small:
        if small.kind != kind:
            pytest.skip("this system lets nobody mount a file system")
        full = _write(small)
        assert full.returncode == 1
        assert "No space left" in full.stderr if kind == "file system" else "too large" in full.stderr
        room = small.grow()
        assert _write(room).returncode == 0
        assert (room.seen / "x").stat().st_size == 400_000
    if kind == "file system":
        assert not (tmp_path / "disk" / "home").exists()  # it was in memory, and went with its namespace


def _write(room: disk.Disk) -> subprocess.CompletedProcess[str]:
    return killing.finish([*room.enter, sys.executable, "-c", WRITE, str(room.home)], os.environ, room.limit)
