"""What the stages wrote about every record, on disk: the seam between work that spreads and decisions that do not.

    corpora/<name>/shards/<key>/
        records.parquet      the records of one part of the input, with all columns of the stages
        quarantine.jsonl     its rows that could not be read
        manifest.json        last: counts, CPU seconds by phase

A shard's key follows from the content of its part, from what its source was told, and from the code and settings of
the stages. So a build that was killed goes on where it was, a build that only changes thresholds or targets finds all
its shards, and a changed file or setting makes anew what it touches. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pe_ray.config import CorpusConfig, SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.quality import tiers
from pe_ray.corpus.reading import ReadPlan, SourceFile, Unreadable, cut, origin
from pe_ray.corpus.stages import Settings, annotate
from pe_ray.errors import ManifestError
from pe_ray.monitor.memory import settled
from pe_ray.record import Record, digest, to_table
from pe_ray.safety import larger
from pe_ray.store import manifest
from pe_ray.store.paths import Home

CHUNK_RECORDS = 1000
"""Records in memory at a time while a part is read."""
RECORDS, QUARANTINE = "records.parquet", "quarantine.jsonl"
LATER = frozenset(
    [
        *("balance", "card", "decide", "duplicates", "explain", "formats", "generate", "job", "ledger", "loader"),
        *("drift", "history", "mask", "pipeline", "plots", "queue", "report", "review", "semantic", "snapshot"),
        *("split", "stream", "tally", "tokenise"),
    ]
)
"""What in this room has no say in what a shard holds; all else makes shards anew when it changes."""


@dataclass(frozen=True)
class Part:
    """Files, or a piece of one, that a task reads into one shard, and that shard's key."""

    spec: SourceSpec
    files: tuple[SourceFile, ...]
    key: str


@dataclass(frozen=True)
class Work:
    """A part and all that a worker needs to annotate it."""

    part: Part
    settings: Settings
    pool: str


def pool(config: CorpusConfig, home: Home) -> Path:
    """The folder of a corpus' shards."""
    return home.corpus(config.name, "shards")


def ensure(
    config: CorpusConfig,
    home: Home,
    fill: Callable[[Sequence[Work], Callable[[], None]], None],
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """The shards of all parts, in the order of the plan; `fill` annotates those that are not there.

    Raises SourceError for a source that cannot be opened.
    """
    settings = Settings.of(config)
    parts = plan_parts(config, settings.digest)
    folder = pool(config, home)
    missing = {p.key: Work(p, settings, str(folder)) for p in parts if not intact(folder / p.key, "shard")}
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        manifest.sweep(folder)
        fill(list(missing.values()), _counter(len(missing), len(parts) - len(missing), say))
    return [folder / p.key for p in parts]


def _counter(num: int, had: int, say: Callable[[str], None], every_s: float = 2.0) -> Callable[[], None]:
    """Called after each part; tells every few seconds how many are done."""
    done, last = 0, time.monotonic()
    say(f"corpus: {num} parts to read, clean and judge" + (f", {had} are there already" if had else ""))

    def count() -> None:
        nonlocal done, last
        done += 1
        if done == num or time.monotonic() - last >= every_s:
            last = time.monotonic()
            say(f"corpus: {done} of {num} parts are read, cleaned and judged")

    return count


def intact(directory: Path, kind: str) -> bool:
    """Whether a finished directory is there and whole; a damaged one is removed, since it can be made again."""
    if not manifest.is_finished(directory):
        return False
    try:
        manifest.read(directory, kind, verify=True)  # what was edited by hand is no annotation of ours
    except ManifestError:
        manifest.remove(directory)
        return False
    return True


def plan_parts(config: CorpusConfig, settings: str) -> list[Part]:
    """What to read, in tasks of about `part_mib`: pieces of large files, runs of small ones."""
    limit = int(config.part_mib * (1 << 20))
    parts: list[Part] = []
    for spec in config.sources:
        bunch: list[SourceFile] = []
        for piece in (p for file in sources.plan(spec).files for p in cut(file, limit)):
            if bunch and sum(f.size for f in bunch) + piece.size > limit:
                parts.append(_part(spec, bunch, settings))
                bunch = []
            bunch.append(piece)
        parts.append(_part(spec, bunch, settings))
    return parts


def annotate_part(work: Work) -> None:
    """Read a part, run the stages over it, and write its shard."""
    seconds: Counter[str] = Counter()
    meter = tiers.Meter()
    last = time.process_time()

    def clock(phase: str) -> None:
        nonlocal last
        now = time.process_time()
        seconds[phase] += now - last
        last = now

    part, unreadable = work.part, []
    with settled(), manifest.stage(Path(work.pool) / part.key, kind="shard", parents={"code": _code()}) as out:
        rows = _write_records(out / RECORDS, part, work.settings, unreadable, clock, meter)
        _write_quarantine(out / QUARANTINE, unreadable)
        out.facts.update(records=rows, errors=len(unreadable), seconds={k: round(v, 4) for k, v in seconds.items()})
        out.facts["tiers"] = meter.rows()


def _write_records(
    path: Path,
    part: Part,
    settings: Settings,
    unreadable: list[Unreadable],
    clock: Callable[[str], None],
    meter: tiers.Meter,
) -> int:
    rows, writer = 0, None
    for table in _chunks(part, unreadable):
        clock("read")
        done = annotate(table, settings, clock, meter)
        writer = writer or pq.ParquetWriter(path, done.schema, compression="zstd")
        writer.write_table(done)
        rows += len(done)
        clock("write")
    writer = writer or pq.ParquetWriter(path, annotate(to_table([]), settings).schema, compression="zstd")
    writer.close()
    return rows


def _chunks(part: Part, unreadable: list[Unreadable]) -> Iterator[pa.Table]:
    def records() -> Iterator[Record]:
        for item in sources.read(part.spec, ReadPlan(part.files)):
            if isinstance(item, Unreadable):
                unreadable.append(item)
            else:
                yield item

    stream = records()
    while chunk := list(islice(stream, CHUNK_RECORDS)):
        yield to_table(chunk)


def _write_quarantine(path: Path, unreadable: Sequence[Unreadable]) -> None:
    path.write_text("".join(json.dumps(asdict(u), ensure_ascii=False) + "\n" for u in unreadable), encoding="utf-8")


def read_keys(
    shards: Sequence[Path], columns: Sequence[str], each: Callable[[pa.Table], pa.Table] = lambda table: table
) -> pa.Table:
    """Some columns of every record, and where it stands (`shard`, `position`), in the order of the inputs.

    `each` may make the table of a shard smaller before the next is read. The order (source, uri, offset) follows from
    the inputs alone: not from how they were cut, nor who read them.
    """
    tables = []
    for number, shard in enumerate(shards):
        table = each(pq.read_table(shard / RECORDS, columns=list(columns)))
        table = table.append_column("shard", pa.array([number] * len(table), pa.int32()))
        tables.append(table.append_column("position", pa.array(range(len(table)), pa.int32())))
    order = [(name, "ascending") for name in ("source", "uri", "offset", "id", "row_key")]
    return pa.concat_tables(tables).sort_by(order).combine_chunks()


def read_quarantine(shards: Sequence[Path]) -> list[dict[str, Any]]:
    """What could not be read, by source, file and line."""
    lines = [
        json.loads(line)
        for shard in shards
        for line in (shard / QUARANTINE).read_text(encoding="utf-8").split("\n")
        if line
    ]
    return sorted(lines, key=lambda u: (u["source"], u["uri"], u["offset"], u["field"], u["reason"]))


def cpu_seconds(shards: Sequence[Path]) -> Counter[str]:
    """CPU seconds by phase that the shards took when they were made."""
    spent: Counter[str] = Counter()
    for shard in dict.fromkeys(shards):
        spent.update(manifest.read(shard, "shard").facts["seconds"])
    return spent


def tier_costs(shards: Sequence[Path]) -> list[tiers.Cost]:
    """What each check of each tier took and found when the shards were made."""
    return tiers.costs([row for shard in dict.fromkeys(shards) for row in manifest.read(shard, "shard").facts["tiers"]])


def _part(spec: SourceSpec, files: Sequence[SourceFile], settings: str) -> Part:
    told = spec.model_dump(mode="json", exclude={"path"})
    pieces = [f"{f.uri}:{f.start}:{f.size}:{f.context}:{_content(f)}" for f in files]
    return Part(
        spec,
        tuple(files),
        digest(_code(), larger.version(), settings, json.dumps([told, origin(spec)], sort_keys=True), *pieces),
    )


def _content(file: SourceFile) -> str:
    """Hash of the bytes that a piece holds."""
    h = hashlib.blake2b(digest_size=16)
    try:
        with Path(file.path).open("rb") as handle:
            handle.seek(file.start)
            left = file.size
            while left > 0 and (block := handle.read(min(left, 1 << 20))):
                h.update(block)
                left -= len(block)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return h.hexdigest()


@cache
def _code() -> str:
    """Digest of the code and data that annotate: a changed rule must not meet old annotations."""
    package = Path(__file__).resolve().parents[1]
    rooms = [package / "safety", *(p for p in (package / "corpus").iterdir() if p.stem not in LATER)]
    files = [package / "record.py", *(f for room in rooms for f in (room.rglob("*.*") if room.is_dir() else [room]))]
    h = hashlib.blake2b(digest_size=16)
    for path in sorted(f for f in files if f.suffix not in (".pyc", ".j2")):
        h.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return h.hexdigest()
