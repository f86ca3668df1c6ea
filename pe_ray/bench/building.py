"""A corpus build in a fresh process, and what it cost: `observe(job)`.

Three processes: the bench asks, a small one watches (`monitor.meter`, so that what the bench itself holds is not
counted, and the watching can be taken off the CPU seconds), and under it one builds, with Ray's processes if there are
any. One build at a time.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_ray.errors import PeRayError

if TYPE_CHECKING:
    from pe_ray.store.paths import Home

START = 50
"""Records of a build whose cost is that of starting: every stage and every file is there, and next to no work."""
OBJECT_STORE_MB = 80
"""Memory for Ray's objects; 75 is the least that it takes."""
EVERY_S = 0.5
"""Seconds between two looks at the memory; one look takes milliseconds for each process."""


@dataclass(frozen=True)
class Job:
    """What to build: dialogues that have been written, into an empty home."""

    dialogues: str
    home: str
    engine: str = "local"
    part_mib: float = 4.0
    partitions: int | None = None
    backwards: bool = False
    """List the sources in the opposite order."""


@dataclass(frozen=True)
class Built:
    """What came out. CPU seconds and memory (proportional set size) are those of the whole process tree."""

    fingerprint: str
    records_in: int
    kept: int
    parts: int
    phases: dict[str, float]
    """CPU seconds by phase, as the snapshot tells them."""
    cpu_s: float
    peak_memory_gib: float
    elapsed_s: float


class BuildFailed(PeRayError):
    """A build that ended with an error; the last line that it printed."""


class Workshop:
    """A folder in which dialogues are written and built, each once in its life. `say` is told what is being done."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self._built: dict[tuple[object, ...], Built] = {}
        self._warm: set[str] = set()

    def dialogues(self, records: int, seed: int = 7) -> Path:
        """The folder of so many generated dialogues."""
        from pe_ray.bench.dialogues import write

        folder = self.folder / f"dialogues-{records}-{seed}"
        if not folder.is_dir():
            write(folder, records, seed)
        return folder

    def built(self, records: int, engine: str = "local", **cut: Any) -> Built:
        """What came of building them; `cut` are fields of a Job. The home is removed again."""
        key = (records, engine, *sorted(cut.items()))
        if key not in self._built:
            self._warm_up(engine)
            home = self.folder / f"home-{len(self._built)}"
            self._built[key] = found = observe(
                Job(str(self.dialogues(records)), str(home), engine, **cut), self.environ
            )
            told = f"{found.cpu_s:.1f} CPU s, {found.peak_memory_gib:.2f} GiB, {found.elapsed_s:.1f} s"
            self.say(f"{records} records, {engine}{', '.join(f', {k}={v:.4g}' for k, v in cut.items())}: {told}")
            shutil.rmtree(home)
        return self._built[key]

    @property
    def environ(self) -> dict[str, str]:
        """What a build is given: a place for compiled modules, where this Python keeps none.

        Else each of Ray's processes compiles all that it imports, which took most of a minute and is no cost of Ray.
        """
        told = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return told | {"PYTHONPYCACHEPREFIX": str(self.folder / "compiled")} if sys.dont_write_bytecode else told

    def _warm_up(self, engine: str) -> None:
        """Compile once, where nothing is compiled yet, so that no figure holds it."""
        if sys.dont_write_bytecode and engine not in self._warm:
            self._warm.add(engine)
            home = self.folder / f"home-warm-{engine}"
            observe(Job(str(self.dialogues(START)), str(home), engine), self.environ)
            shutil.rmtree(home)


def observe(job: Job, environ: Mapping[str, str] = os.environ) -> Built:
    """Build in a process of its own. Raises BuildFailed."""
    ended = subprocess.run(_command("watch", job), capture_output=True, text=True, env=dict(environ))
    if ended.returncode:
        raise BuildFailed(f"a build on {job.engine} failed: {(ended.stderr.strip().splitlines() or [''])[-1]}")
    return Built(**json.loads(ended.stdout.splitlines()[-1]))


def _command(role: str, job: Job) -> list[str]:
    return [sys.executable, "-m", "pe_ray.bench.building", role, json.dumps(asdict(job))]


def watch(job: Job) -> int:
    """Start the build, sample its tree until it ends, and print what it made and cost."""
    from pe_ray.monitor.meter import Meter

    began = time.process_time()
    with Meter(EVERY_S) as meter:
        ended = subprocess.run(_command("build", job), stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        return ended.returncode
    cost = {
        "cpu_s": meter.cpu_s - (time.process_time() - began),
        "peak_memory_gib": meter.peak_memory_gib,
        "elapsed_s": meter.elapsed_s,
    }
    print(json.dumps({**json.loads(ended.stdout.splitlines()[-1]), **cost}))
    return 0


def build(job: Job) -> None:
    """Build here, and print what came out."""
    from pe_ray.bench.dialogues import config
    from pe_ray.store import manifest
    from pe_ray.store.paths import Home

    home, settled = Home.at(job.home), config(Path(job.dialogues), engine=job.engine, part_mib=job.part_mib)
    corpus = settled.corpus.model_copy(
        update={
            "sources": settled.corpus.sources[:: -1 if job.backwards else 1],
            "duplicates": settled.corpus.duplicates.model_copy(update={"partitions": job.partitions}),
        }
    )
    settled = settled.model_copy(update={"corpus": corpus})
    if job.engine == "ray":
        with _ray(home):
            from pe_ray.corpus import job as engine

            result = engine.build(settled, home)
    else:
        from pe_ray.corpus import pipeline

        result = pipeline.build(settled, home)
    parts = sum(1 for p in home.corpus(corpus.name, "shards").iterdir() if not p.name.startswith("."))
    stage = result.stage
    phases = manifest.read(result.path).facts["cpu_s"]
    told = {"fingerprint": result.fingerprint, "records_in": stage["records_in"], "kept": stage["kept"]}
    print(json.dumps({**told, "parts": parts, "phases": phases}))


@contextmanager
def _ray(home: Home) -> Iterator[None]:
    """A local Ray as `cluster.connected` starts it, but with less memory for objects."""
    from pe_ray import cluster

    for name, value in {**cluster.QUIET, **home.environ}.items():
        os.environ.setdefault(name, value)
    cluster.ensure_token()
    import ray

    ray.init(
        num_cpus=max(4, os.cpu_count() or 1),
        object_store_memory=OBJECT_STORE_MB * 10**6,
        include_dashboard=False,
        runtime_env={"env_vars": home.environ},
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


def main(argv: Sequence[str]) -> int:
    """`watch JOB` or `build JOB`, JOB being the JSON of a Job."""
    role, job = argv[0], Job(**json.loads(argv[1]))
    if role == "watch":
        return watch(job)
    build(job)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
