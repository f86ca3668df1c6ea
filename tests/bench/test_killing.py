"""Where a build stands is told from its folders, a kill meets it there, and what only looks finished is found."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path
from random import Random

import psutil
import pytest

from pe_ray.bench import killing
from pe_ray.bench.building import BuildFailed
from pe_ray.bench.killing import PHASES, Moment, Place, Watch
from pe_ray.store import manifest

BUILD = """
import sys, time, pathlib
from pe_ray.store import manifest
corpus = pathlib.Path(sys.argv[1])
for key in ("one", "two", "three"):
    with manifest.stage(corpus / "shards" / key, kind="shard", parents={}) as out:
        (out / "x").write_text(key)
    time.sleep(0.05)
with manifest.stage(corpus / "duplicates" / "key", kind="duplicates", parents={}):
    time.sleep(0.2)
time.sleep(0.1)
with manifest.stage(corpus / "fingerprint", kind="corpus", parents={}):
    time.sleep(0.2)
time.sleep(0.1)
"""


def _command(corpus: Path) -> list[str]:
    return [sys.executable, "-c", BUILD, str(corpus)]


def _finish(folder: Path) -> None:
    with manifest.stage(folder, kind="any", parents={}) as out:
        (out / "x").write_text("words")


def test_a_build_is_followed_through_its_phases(tmp_path: Path) -> None:
    spent = killing.timeline(_command(tmp_path), os.environ, tmp_path)
    phases = {p.phase for p in spent}
    assert {"start", "shards", "keys", "duplicates", "decide", "snapshot", "export"} >= phases
    assert {"duplicates", "snapshot", "export"} <= phases
    assert max(p.shards for p in spent) == 3
    assert sum(spent.values()) > 0.7


def test_what_killed_builds_left_behind_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "duplicates" / ".key.12345678").mkdir(parents=True)
    (tmp_path / ".fingerprint.12345678").mkdir()
    _finish(tmp_path / "shards" / "one")
    watch = Watch(tmp_path)
    assert watch.place(2) == Place("shards", 1)
    _finish(tmp_path / "shards" / "two")
    assert watch.place(2) == Place("keys", 2)
    (tmp_path / "duplicates" / ".key.abcdefab").mkdir()
    assert watch.place(2) == Place("duplicates", 2)
    _finish(tmp_path / "duplicates" / "key")
    assert watch.place(2) == Place("decide", 2)
    _finish(tmp_path / "fingerprint")
    assert watch.place(2) == Place("export", 2)


def test_a_kill_meets_the_build_in_its_phase_and_nothing_there_looks_finished(tmp_path: Path) -> None:
    ended = killing.kill(_command(tmp_path), os.environ, tmp_path, 3, Moment(Place("snapshot", 3), 0.01))
    assert (ended.killed, ended.code, ended.place) == (True, -9, Place("snapshot", 3))
    assert not (tmp_path / "fingerprint").exists()
    assert len(killing.finished(tmp_path)) == 4
    assert killing.torn(tmp_path) == []


def test_a_build_that_is_done_before_its_moment_is_not_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(7)"]
    ended = killing.kill(command, os.environ, tmp_path, 3, Moment(Place("export", 3), 0.0))
    assert (ended.killed, ended.code, ended.stderr) == (False, 7, "why\n")


def test_children_die_with_the_build(tmp_path: Path) -> None:
    child = """
import os, pathlib, sys, time
corpus = pathlib.Path(sys.argv[1])
(corpus / "pid").write_text(str(os.getpid()))
(corpus / "shards" / ".one.12345678").mkdir(parents=True)
time.sleep(60)
"""
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    command = [sys.executable, "-c", parent, child, str(tmp_path)]
    assert killing.kill(command, os.environ, tmp_path, 3, Moment(Place("shards", 0), 0.0)).killed
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_one_changed_byte_is_torn(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        _finish(tmp_path / name)
    (tmp_path / "bad" / "x").write_text("woRds")
    (tmp_path / ".hidden.12345678").mkdir()
    (tmp_path / ".hidden.12345678" / manifest.NAME).write_text("{")
    assert killing.torn(tmp_path) == [tmp_path / "bad"]


def test_a_failed_unbroken_build_says_why(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="the unbroken build failed: no room"):
        killing.timeline([sys.executable, "-c", "raise SystemExit('no room')"], os.environ, tmp_path)


def test_moments_cover_all_phases_and_lie_within_them() -> None:
    spent = {Place("start", 0): 1.0, **{Place("shards", k): 0.5 for k in range(4)}}
    spent |= {Place(phase, 4): 0.25 for phase in PHASES[2:]}
    homes = list(islice(killing.plan(spent, Random(0)), 12))
    assert {m.place.phase for home in homes for m in home} == set(PHASES)
    assert all(0 <= m.delay_s <= spent[m.place] for home in homes for m in home)
    assert all(home[0].place.phase in ("start", "shards") for home in homes)
