"""What the stages wrote about every record, on disk: the seam between work that spreads and decisions that do not.

    annotations/<key>/records/<part>-<row>.parquet     records with all columns of the stages
    annotations/<key>/quarantine/<part>.jsonl          rows that could not be read

The key follows from the content of the inputs and from the code, so a build that only changes thresholds, shares or
targets finds its annotations and decides anew. The folder may be deleted at any time; the next build makes it again.
"""

from __future__ import annotations

import hashlib
import json
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
from pe_ray.corpus.decide import KEY_COLUMNS
from pe_ray.corpus.reading import ReadPlan, SourceFile, Unreadable, cut, origin
from pe_ray.corpus.snapshot import intact
from pe_ray.record import Record, digest, to_table
from pe_ray.store import manifest
from pe_ray.store.paths import Home

PART_BYTES = 4 << 20
"""Input of one reading task: small enough to spread over cores, large enough to hide the task's own cost."""
CHUNK_RECORDS = 1000
"""Records in memory at a time while a part is read."""


@dataclass(frozen=True)
class Part:
    """Files, or a piece of one, that a task reads; `number` orders the parts."""

    number: int
    spec: SourceSpec
    files: tuple[SourceFile, ...]


def ensure(config: CorpusConfig, home: Home, fill: Callable[[Sequence[Part], Path], None]) -> Path:
    """The folder of annotations for these inputs; `fill` makes it from the parts if it is not there, whole.

    Raises SourceError for a source that cannot be opened.
    """
    parts = plan_parts(config)
    target = home.corpus(config.name, "annotations") / _key(parts)
    if not intact(target, "annotations"):
        with manifest.stage(target, kind="annotations", parents={"code": _code()}) as out:
            fill(parts, out.path)
    return target


def plan_parts(config: CorpusConfig) -> list[Part]:
    """What to read, in tasks of about `PART_BYTES`: pieces of large files, runs of small ones."""
    parts: list[Part] = []
    for spec in config.sources:
        bunch: list[SourceFile] = []
        for piece in (p for file in sources.plan(spec).files for p in cut(file, PART_BYTES)):
            if bunch and sum(f.size for f in bunch) + piece.size > PART_BYTES:
                parts.append(Part(len(parts), spec, tuple(bunch)))
                bunch = []
            bunch.append(piece)
        parts.append(Part(len(parts), spec, tuple(bunch)))
    return parts


def read_part(part: Part, out: Path) -> Iterator[pa.Table]:
    """The part's records in chunks, with their place (`part`, `row`); what is unreadable goes to a file in `out`."""
    unreadable: list[Unreadable] = []

    def records() -> Iterator[Record]:
        for item in sources.read(part.spec, ReadPlan(part.files)):
            if isinstance(item, Unreadable):
                unreadable.append(item)
            else:
                yield item

    stream, row = records(), 0
    while chunk := list(islice(stream, CHUNK_RECORDS)):
        yield placed(to_table(chunk), part.number, row)
        row += len(chunk)
    if unreadable:
        lines = "".join(json.dumps(asdict(u), ensure_ascii=False) + "\n" for u in unreadable)
        manifest.write_bytes(out / "quarantine" / f"{part.number:06d}.jsonl", lines.encode())


def placed(table: pa.Table, part: int, first_row: int) -> pa.Table:
    """A table of records with the columns `part` and `row`."""
    rows = pa.array(range(first_row, first_row + len(table)), pa.int64())
    return table.append_column("part", pa.array([part] * len(table), pa.int64())).append_column("row", rows)


def store(table: pa.Table, out: Path) -> None:
    """An annotated batch as a Parquet file named after its first row; written again, it is the same file."""
    if not len(table):
        return
    path = out / "records" / f"{table['part'][0].as_py():06d}-{table['row'][0].as_py():09d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    pq.write_table(table, temporary, compression="zstd")
    temporary.replace(path)


def read_keys(folder: Path) -> pa.Table | None:
    """The key columns of every record, and where it stands (`file`, `position`), in the order of the plan.

    None if no record could be read.
    """
    tables = []
    for path in sorted((folder / "records").glob("*.parquet")):
        table = pq.read_table(path, columns=list(KEY_COLUMNS))
        table = table.append_column("file", pa.array([path.name] * len(table), pa.string()))
        tables.append(table.append_column("position", pa.array(range(len(table)), pa.int64())))
    if not tables:
        return None
    return pa.concat_tables(tables).sort_by([("part", "ascending"), ("row", "ascending")]).combine_chunks()


def read_quarantine(folder: Path) -> list[dict[str, Any]]:
    """What could not be read, by source, file and line."""
    lines = [
        json.loads(line)
        for path in sorted((folder / "quarantine").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").split("\n")
        if line
    ]
    return sorted(lines, key=lambda u: (u["source"], u["uri"], u["offset"], u["field"], u["reason"]))


def _key(parts: Sequence[Part]) -> str:
    contents = {f.path: _content(f.path) for part in parts for f in part.files}
    inputs = []
    for part in parts:
        inputs.append(json.dumps([part.spec.kind, origin(part.spec)], sort_keys=True))
        inputs += [f"{f.uri}:{f.start}:{contents[f.path]}" for f in part.files]
    return digest(_code(), *inputs)


def _content(path: str) -> str:
    try:
        return manifest.file_hash(Path(path))
    except OSError as error:
        return f"cannot be opened: {error.strerror}"


@cache
def _code() -> str:
    """Digest of the code and data that annotate: a changed rule must not meet old annotations."""
    package = Path(__file__).resolve().parents[1]
    files = [package / "record.py", *(p for room in ("corpus", "safety") for p in (package / room).rglob("*.*"))]
    h = hashlib.blake2b(digest_size=16)
    for path in sorted(f for f in files if f.suffix in (".py", ".toml")):
        h.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return h.hexdigest()
