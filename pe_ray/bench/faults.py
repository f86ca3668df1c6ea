"""What is left of the work when a program is killed: `pe-ray bench faults corpus`; for `train`, see faults_train.py.

A corpus of generated dialogues is built once without a break. Then builds of it are killed (SIGKILL, the whole process
tree) at moments drawn over all phases, twice in each home, and run again until they finish; and builds meet a full disk
and run again when there is room. Whatever happened, the snapshot must be that of the unbroken build, byte for byte.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from pe_ray.bench import disk, killing
from pe_ray.bench.building import BuildFailed, Workshop
from pe_ray.bench.disk import Disk
from pe_ray.bench.document import Result, at_least, measured

PURPOSE = "Kill a corpus build (and fill its disk) or training runs at random moments, and compare what they become."
SUBJECTS = ("corpus", "train")
FORM = "jsonl"
COMPARED = (
    *("records/*.parquet", "review.parquet", "rejects.parquet", "quarantine.jsonl", "clusters.parquet"),
    *("decisions.parquet", "concepts.jsonl", f"exports/{FORM}/*.jsonl"),
)
"""Files of a snapshot in which no time of day stands."""
LEAST_ROUNDS = 20
DISKS = (0.2, 0.5, 0.8)
"""Share of the room that a build needs."""
PARTS = 3
"""Of each source, about: so many shards are enough to be killed between."""


@dataclass
class Account:
    """What the rounds came to."""

    rounds: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    mismatched: int = 0
    unclear: int = 0
    phases: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Whole:
    """The unbroken build, and the seconds that it stood at each place."""

    home: Path
    corpus: Path
    spent: Mapping[killing.Place, float]

    @property
    def parts(self) -> int:
        return max(p.shards for p in self.spent)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this area."""
    parser.add_argument("subject", choices=SUBJECTS, help="whose work is interrupted")
    parser.add_argument("--rounds", type=at_least(1), default=LEAST_ROUNDS, help="kills that hit a running one")
    parser.add_argument("--records", type=at_least(100), default=1500, help="corpus: of the corpus")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="corpus: of the builds")
    parser.add_argument("--no-ray", action="store_true", help="train: only runs in one process")
    parser.add_argument("--seed", type=at_least(0), default=7, help="of the moments")


def run(args: argparse.Namespace) -> list[Result]:
    """The counts."""
    if args.subject == "train":
        from pe_ray.bench import faults_train

        return faults_train.run(args.rounds, args.seed, not args.no_ray, say)
    with TemporaryDirectory(prefix="pe_ray-faults-") as name:
        bench = Bench(Path(name), args.records, args.engine)
        whole = bench.unbroken()
        account = Account()
        for number, moments in enumerate(killing.plan(whole.spent, Random(args.seed))):
            if account.rounds >= args.rounds:
                break
            if number >= 2 * args.rounds + 2:
                raise BuildFailed(
                    f"only {account.rounds} of {args.rounds} kills met a running build; give more --records"
                )
            bench.killed(whole, bench.folder / f"killed-{number}", moments, account)
        kinds = [bench.filled(whole, share, account) for share in DISKS]
    return _rows(account, whole, kinds)


def _rows(account: Account, whole: Whole, kinds: list[str]) -> list[Result]:
    gated = {name: getattr(account, name) for name in ("lost", "duplicated", "torn", "mismatched")}
    return [
        measured("rounds", account.rounds, "kills", "higher", LEAST_ROUNDS),
        measured("acknowledged", account.acknowledged, "directories", "higher"),
        *(measured(name, value, "count", "lower", 0) for name, value in gated.items()),
        *(measured(f"kills.{phase}", account.phases[phase], "kills", "higher") for phase in killing.PHASES),
        *(measured(f"seconds.{phase}", s, "s", "lower") for phase, s in _by_phase(whole).items()),
        measured("full_disk.rounds", len(kinds), f"by {kinds[0]}", "higher"),
        measured("full_disk.unclear", account.unclear, "count", "lower", 0),
    ]


def _by_phase(whole: Whole) -> Mapping[str, float]:
    return {p: sum(s for place, s in whole.spent.items() if place.phase == p) for p in killing.PHASES}


class Bench:
    """A folder with the dialogues, the run file, and the homes of all builds."""

    def __init__(self, folder: Path, records: int, engine: str) -> None:
        from pe_ray.bench.dialogues import config
        from pe_ray.config import dump

        self.began, shop = time.time(), Workshop(folder, say=say)
        dialogues = shop.dialogues(records)
        size = sum(f.stat().st_size for f in dialogues.rglob("*.jsonl")) / 2**20
        told = {"engine": engine, "part_mib": size / 5 / PARTS, "formats": [FORM], "duplicates": {"partitions": 2}}
        settled = config(dialogues, **told)
        (folder / "run.yaml").write_text(dump(settled), encoding="utf-8")
        self.folder, self.environ, self.name = folder, shop.environ, settled.corpus.name
        self.command = killing.command(folder / "run.yaml")

    def unbroken(self) -> Whole:
        """Build without a break, and watch it; before that once more where modules are compiled for the first time."""
        if sys.dont_write_bytecode:
            killing.finish(self.command, self._environ(self.folder / "warm"))
        home = self.folder / "unbroken"
        spent = killing.timeline(self.command, self._environ(home), self._corpus(home))
        whole = Whole(home, self._corpus(home), spent)
        say(f"unbroken: {sum(spent.values()):.1f} s, {whole.parts} shards")
        return whole

    def killed(self, whole: Whole, home: Path, moments: Sequence[killing.Moment], account: Account) -> None:
        """Kill a build at each of the moments, then let it finish, and settle the account."""
        kept: dict[Path, bytes] = {}
        for moment in moments:
            ended = killing.kill(self.command, self._environ(home), self._corpus(home), whole.parts, moment)
            if not ended.killed:
                account.mismatched += bool(ended.code)
                continue
            account.rounds += 1
            account.phases[ended.place.phase] += 1
            account.torn += len(killing.torn(home))
            now = killing.finished(home)
            account.lost += sum(now.get(folder) != seal for folder, seal in kept.items())
            account.acknowledged += len(now.keys() - kept.keys())
            kept = now
            say(f"kill {account.rounds}: {ended.place.phase}, {ended.place.shards} of {whole.parts} shards finished")
        self._settle(whole, disk.ordinary(home), kept, account)

    def filled(self, whole: Whole, share: float, account: Account) -> str:
        """Build on a disk with too little room, then with enough; returns what kind of disk it was."""
        sizes = [f.stat().st_size for f in whole.home.rglob("*") if f.is_file()]
        with disk.full_disk(self.folder / f"disk-{share}", sum(sizes), max(sizes), share) as small:
            ended = killing.finish([*small.enter, *self.command], self._environ(small.home), small.limit)
            account.unclear += not _is_clear(ended.returncode, ended.stderr)
            account.torn += len(killing.torn(small.seen))
            said = killing.last_line(ended.stderr)
            say(f"full disk ({small.kind}, {share:.0%}): exit {ended.returncode}, {said[:150]}")
            kept = killing.finished(small.seen)
            account.acknowledged += len(kept)
            self._settle(whole, small.grow(), kept, account)
            return small.kind

    def _settle(self, whole: Whole, room: Disk, kept: Mapping[Path, bytes], account: Account) -> None:
        """Finish the build in a home, and compare it with the unbroken one."""
        ended = killing.finish([*room.enter, *self.command], self._environ(room.home))
        if ended.returncode:
            say(f"did not finish: {killing.last_line(ended.stderr)}")
            account.mismatched += 1
            return
        now = killing.finished(room.seen)
        account.lost += sum(now.get(folder) != seal for folder, seal in kept.items())
        account.torn += len(killing.torn(room.seen))
        different = list(_different(whole.corpus, self._corpus(room.seen)))
        account.mismatched += bool(different)
        missing, extra = _ids_apart(whole.corpus, self._corpus(room.seen))
        account.lost += missing
        account.duplicated += extra
        if different:
            say(f"differs: {', '.join(different)}")
            self._same_code()

    def _same_code(self) -> None:
        """Raises BuildFailed if pe_ray itself was edited meanwhile: shards are named after the code that made them."""
        package = Path(__file__).parents[1]
        if any(f.stat().st_mtime > self.began for f in package.rglob("*.*") if f.suffix != ".pyc"):
            raise BuildFailed("the files of pe_ray changed while it was being measured; run the same again")

    def _environ(self, home: Path) -> dict[str, str]:
        return self.environ | {"PE_RAY_HOME": str(home), "PE_RAY_STATE": str(home / "state")}

    def _corpus(self, home: Path) -> Path:
        return home / "corpora" / self.name


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _is_clear(code: int, stderr: str) -> bool:
    """Whether a build that met a full disk ended as it should: exit code 1, and one last line that says so."""
    lines = stderr.strip().splitlines() or [""]
    errors = [line for line in lines if line.startswith(("error:", "Traceback"))]
    return code == 1 and errors == lines[-1:]


def _snapshots(corpus: Path) -> dict[str, Path]:
    """Fingerprint to folder."""
    found = (p.parent for p in corpus.glob("*/decisions.parquet"))
    return {p.name: p for p in found if not p.name.startswith(".")}


def _different(want: Path, have: Path) -> Iterator[str]:
    """Files of a snapshot that are not the same in two corpora; or its fingerprint."""
    ours, theirs = _snapshots(want), _snapshots(have)
    if ours.keys() != theirs.keys():
        yield f"fingerprint {', '.join(theirs) or 'none'}"
        return
    for fingerprint, folder in ours.items():
        for name in sorted({n for f in (folder, theirs[fingerprint]) for n in _files(f)}):
            one, other = folder / name, theirs[fingerprint] / name
            if not (one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()):
                yield name


def _files(folder: Path) -> list[str]:
    return [p.relative_to(folder).as_posix() for pattern in COMPARED for p in folder.glob(pattern)]


def _ids_apart(want: Path, have: Path) -> tuple[int, int]:
    """Records of one corpus that the other lacks, and records that it has too often."""
    ours, theirs = (Counter(_ids(corpus)) for corpus in (want, have))
    return (ours - theirs).total(), (theirs - ours).total()


def _ids(corpus: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    for folder in _snapshots(corpus).values():
        yield from pq.read_table(folder / "decisions.parquet", columns=["id"])["id"].to_pylist()
