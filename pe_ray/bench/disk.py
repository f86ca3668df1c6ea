"""A disk that is full before a build is done, and has room again later.

Where the system lets us, it is a real one: a small file system in memory, in a mount namespace of its own, reached from
outside through /proc. Elsewhere no file of the build may grow beyond a limit, which ends a write in the same place with
another error.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

MOUNT = """
mount -t tmpfs -o size="$1" tmpfs "$0" && echo ready && read _
mount -o remount,size=4g "$0" && echo more && read _
"""


@dataclass(frozen=True)
class Disk:
    """`home` is a place on it as a build that is started with `enter` and `limit` sees it; `seen` is the same place as
    we see it. `grow` makes room."""

    kind: str
    home: Path
    seen: Path
    enter: tuple[str, ...]
    limit: Callable[[], None] | None
    grow: Callable[[], Disk]


@contextmanager
def full_disk(folder: Path, whole: int, largest: int, share: float) -> Iterator[Disk]:
    """A disk for a build that needs `whole` bytes and writes no file of more than `largest`: it has a share of that."""
    folder.mkdir(parents=True)
    home = folder / "home"
    holder = _holder(folder, int(whole * share))
    assert holder.stdin and holder.stdout
    try:
        if holder.stdout.readline() == "ready\n":
            yield _mounted(holder, home)
        else:
            limit = partial(_no_longer_than, int(largest * share))
            yield Disk("file size", home, home, (), limit, partial(ordinary, home))
    finally:
        holder.kill()
        holder.communicate()


def ordinary(home: Path) -> Disk:
    """The disk that is there."""
    return Disk("ordinary", home, home, (), None, partial(ordinary, home))


def _holder(folder: Path, num_bytes: int) -> subprocess.Popen[str]:
    """A process whose namespace has the small file system; it says `ready`, and `more` once it has grown."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(folder), str(num_bytes)]
    try:
        return _piped(command)
    except FileNotFoundError:
        return _piped(["false"])


def _piped(command: list[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1)


def _mounted(holder: subprocess.Popen[str], home: Path) -> Disk:
    spaces = ("--user", "--mount", "--preserve-credentials")
    enter = ("nsenter", "--target", str(holder.pid), *spaces, f"--wd={Path.cwd()}")

    def grow() -> Disk:
        assert holder.stdin and holder.stdout
        holder.stdin.write("\n")
        holder.stdout.readline()
        return found

    found = Disk("file system", home, Path(f"/proc/{holder.pid}/root{home}"), enter, None, grow)
    return found


def _no_longer_than(num_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
