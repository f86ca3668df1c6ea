"""Builds that are killed, one for each point at which a build may die.

    python -m tests.corpus.killed DATA HOMES        # a home for each point, as the killed build left it

One process builds to the end, so that everything is imported and compiled, and then forks a child for each point, which
sends itself a SIGKILL when it gets there: nothing is cleaned up, flushed or told, as when the machine goes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pe_ray.corpus import card, duplicates, plots, shards, snapshot
from pe_ray.corpus.pipeline import build
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.write import config

POINTS: dict[str, tuple[Any, str, int]] = {
    "in the first shard": (shards, "_write_quarantine", 1),
    "after two shards": (shards, "annotate_part", 3),
    "before a shard has its manifest": (manifest, "write", 5),
    "while duplicates are written": (duplicates, "_save", 1),
    "among the records": (snapshot, "write_slice", 1),
    "before the report": (snapshot, "_write_page", 1),
    "before the snapshot is whole": (card, "render", 1),
    "among the exports": (snapshot, "export", 2),
}
"""What a build is killed in: a function, and at which call of it."""
UNBROKEN = "not killed"
OPTIONS = {"part_mib": 0.004, "formats": ["jsonl", "csv"], "test_share": 0.1}


def run(data: Path, home: Path) -> Any:
    """The build that is killed, and that later resumes."""
    return build(config(data, **OPTIONS), Home.at(home))


def dying(call: Callable[..., Any], at: int) -> Callable[..., Any]:
    """The function, but the call of that number kills the process."""
    calls = 0

    def instead(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    return instead


def main(data: Path, homes: Path) -> None:
    plots.image = lambda *_: "data:,"
    run(data, homes / UNBROKEN)
    for point, (module, name, at) in POINTS.items():
        if not (child := os.fork()):
            setattr(module, name, dying(getattr(module, name), at))
            run(data, homes / point)
            os._exit(0)  # a point that is never reached is a test that proves nothing
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point}: ended with {status}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
