"""A corpus build that is killed: where it stands, by what lies on disk; the moment to kill it; and what it left behind.

A phase is told from outside, by directories that appear: nothing of the build knows that it is watched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from typing import IO

import psutil

from pe_ray.bench.building import BuildFailed
from pe_ray.errors import ManifestError
from pe_ray.store import manifest

PHASES = ("start", "shards", "keys", "duplicates", "decide", "snapshot", "export")
"""Before the first shard; while shards are made; keys are read; near-duplicates; decisions; the snapshot's files; what
comes after it."""
POLL_S = 0.002
ENDLESS = sys.maxsize
LONGEST_S = 600.0
"""A build that takes longer has hung."""


@dataclass(frozen=True)
class Place:
    """Where a build stands: the phase, and how many shards are finished."""

    phase: str
    shards: int

    def reaches(self, other: Place) -> bool:
        """Whether it is there or further."""
        return (PHASES.index(self.phase), self.shards) >= (PHASES.index(other.phase), other.shards)


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after a place is reached."""

    place: Place
    delay_s: float


@dataclass(frozen=True)
class Ended:
    """How a build ended, and where it stood by then; `killed` if it was still running when its moment came."""

    killed: bool
    code: int
    place: Place
    stderr: str


class Watch:
    """Tells where a build of a corpus folder stands. What killed builds have left there says nothing."""

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        self.pools = (corpus / "shards", corpus / "duplicates", corpus)
        self.old = {p for pool in self.pools for p in _folders(pool) if p.name.startswith(".")}

    def place(self, parts: int) -> Place:
        """Where it stands, if there are so many parts."""
        shards, found, snapshots = ([p for p in _folders(pool) if p not in self.old] for pool in self.pools)
        done = sum(map(manifest.is_finished, shards))
        if any(map(manifest.is_finished, snapshots)):
            return Place("export", done)
        if any(p.name.startswith(".") for p in snapshots):
            return Place("snapshot", done)
        if found:
            return Place("decide" if any(map(manifest.is_finished, found)) else "duplicates", done)
        if done >= parts:
            return Place("keys", done)
        return Place("shards" if shards else "start", done)


def timeline(command: Sequence[str], environ: Mapping[str, str], corpus: Path) -> dict[Place, float]:
    """Run a build to its end; seconds that it stood at each place. Raises BuildFailed."""
    spent: defaultdict[Place, float] = defaultdict(float)
    watch, last = Watch(corpus), time.monotonic()
    with TemporaryFile("w+") as stderr:
        process = _started(command, environ, stderr)
        while process.poll() is None:
            time.sleep(POLL_S)
            now = time.monotonic()
            spent[watch.place(ENDLESS)] += now - last
            last = now
        if process.returncode:
            raise BuildFailed(f"the unbroken build failed: {last_line(_text(stderr))}")
    most = max(p.shards for p in spent)
    return {Place("keys", most) if p == Place("shards", most) else p: s for p, s in spent.items()}


def kill(command: Sequence[str], environ: Mapping[str, str], corpus: Path, parts: int, moment: Moment) -> Ended:
    """Run a build until its moment, and end its whole process tree with SIGKILL."""
    watch = Watch(corpus)
    with TemporaryFile("w+") as stderr:
        process = _started(command, environ, stderr)
        until = time.monotonic() + LONGEST_S
        while process.poll() is None and not watch.place(parts).reaches(moment.place) and time.monotonic() < until:
            time.sleep(POLL_S)
        time.sleep(moment.delay_s)
        if killed := process.poll() is None:
            kill_tree(process.pid)
        return Ended(killed, process.wait(), watch.place(parts), _text(stderr))


def finish(
    command: Sequence[str], environ: Mapping[str, str], limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a build to its end, whatever that is; `limit` is called in the child before it begins."""
    return subprocess.run(
        command, env=dict(environ), capture_output=True, text=True, timeout=LONGEST_S, preexec_fn=limit
    )


def plan(spent: Mapping[Place, float], rng: Random) -> Iterator[Sequence[Moment]]:
    """Moments without end, two for each home: one before all shards are there, then a later one, over all phases.

    Delays are random within the time that the unbroken build spent at the place.
    """
    early = [p for p in spent if p.phase in ("start", "shards")]
    late = {phase: [p for p in spent if p.phase == phase] for phase in PHASES[1:]}
    turn = 0
    while True:
        first = early[0] if turn % 4 == 0 else rng.choice(early)
        phases = [phase for phase, places in late.items() if places]
        second = rng.choice(late[phases[turn % len(phases)]])
        yield [Moment(p, rng.random() * spent[p]) for p in (first, second)]
        turn += 1


def finished(home: Path) -> dict[Path, bytes]:
    """Every directory that counts as finished, and its manifest, which says when it was made."""
    return {path.parent: path.read_bytes() for path in home.rglob(manifest.NAME) if not _hidden(path, home)}


def torn(home: Path) -> list[Path]:
    """Directories that count as finished, and are not what their manifests say, down to the last byte."""
    return [folder for folder in finished(home) if not _whole(folder)]


def _whole(folder: Path) -> bool:
    try:
        manifest.read(folder, verify=True)
    except ManifestError:
        return False
    return True


def _hidden(path: Path, home: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(home).parts)


def _folders(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            yield from [Path(entry.path) for entry in found if entry.is_dir()]
    except FileNotFoundError:
        return


def _started(command: Sequence[str], environ: Mapping[str, str], stderr: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=dict(environ), stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
    )


def kill_tree(pid: int) -> None:
    """Of all at once, as when the power goes; returns when none of them can write any more."""
    root = psutil.Process(pid)
    tree = [root, *root.children(recursive=True)]
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    while any(map(_runs, tree)):
        time.sleep(POLL_S)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def last_line(text: str) -> str:
    """The last line of what a program printed."""
    return (text.strip().splitlines() or [""])[-1]


def command(config: Path) -> list[str]:
    """The door that is killed: `pe-ray corpus build`."""
    return [sys.executable, "-m", "pe_ray.cli", "corpus", "build", "--config", str(config)]
