"""From a `SourceSpec` to files, and from a file to rows: what every source shares.

A source that cannot be opened at all stops the run with one line (SourceError). Anything smaller (a file that is
binary, a line that is not JSON, a key that is missing) becomes one `Unreadable` and the run goes on: the ledger counts
it. No message repeats what a row says, because that may be a client's words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa

from pe_ray.config import SourceSpec
from pe_ray.corpus import columnar, delimited
from pe_ray.corpus.lines import MAX_ROW_BYTES, Line, lines, no_text, pieces, too_long
from pe_ray.corpus.row import Fault, kind, one_of
from pe_ray.errors import SourceError
from pe_ray.record import CONTENT_TYPES, DOMAINS, Message, Record

OWN_LICENCE = "Apache-2.0"
OWN_ATTRIBUTION = "The pe_ray developers"
PROBE_BYTES = 8192
MAX_TEXT_BYTES = 256 << 20
"""A longer text file (one that is read whole, such as an ontology) is quarantined."""


@dataclass(frozen=True)
class Unreadable:
    """A row, cue or file that gave no record. `offset` is the line, from 1 (0: the whole file)."""

    source: str
    uri: str
    offset: int
    field: str
    reason: str


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; `uri` is its path relative to the root of the source, on every machine the same."""

    path: str
    uri: str
    size: int
    start: int = 0
    first_line: int = 1
    """A piece of a large file begins at this byte, which is this line (or row); `size` is the piece's."""
    by_rows: bool = False
    """Whether its reader can take a piece of it; JSON lines always can be."""
    context: str = field(default="", repr=False)
    """What its records depend on beside its own bytes: the header above a piece, the persona of a conversation."""


@dataclass(frozen=True)
class ReadPlan:
    """What a source would read: the files, in order. `corpus/job.py` reads them in tasks."""

    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class Row:
    """One row as an object of fields, and the line (or the number of the row) that it stood on."""

    line: int
    data: dict[str, Any] = field(repr=False)


ToRecord = Callable[[SourceSpec, SourceFile, Row], Record | list[Record]]


def plan_files(spec: SourceSpec, *suffixes: str) -> ReadPlan:
    """The files of `suffixes` at the spec's path, sorted by their relative path; a single file is taken as it is.

    Raises SourceError if the path is absent, cannot be opened, or holds no such file.
    """
    root = resolve(spec)
    wanted = " or ".join(suffixes)
    where = f"corpus.sources {spec.kind}: path={spec.path}"
    if not root.exists():
        raise SourceError(f"{where}: no such file or folder ({root}); give a {wanted} file or a folder of them")
    try:
        if root.is_file():
            root.open("rb").close()
            found = [(root, root.name)]
        else:
            found = [(p, p.relative_to(root).as_posix()) for p in _walk(root) if p.name.endswith(suffixes)]
            found = [(path, uri) for path, uri in found if not path.is_dir()]
    except OSError as error:
        raise SourceError(
            f"{where}: cannot be opened ({error.strerror}: {error.filename}); make it readable for this user"
        ) from None
    if not found:
        raise SourceError(f"{where}: holds no *{wanted} file, which is what the {spec.kind} reader reads")
    ordered = sorted(found, key=lambda f: f[1])
    return ReadPlan(tuple(SourceFile(str(path), uri, _size(path)) for path, uri in ordered))


def cut(file: SourceFile, piece_bytes: int) -> list[SourceFile]:
    """A large file as pieces of about `piece_bytes`, each of whole rows; a small one, or one of another form, as it is.

    Lines of .jsonl; where the source reads by rows, rows of .csv and .tsv and row groups of .parquet too. A damaged
    file is left whole: its reader says so.
    """
    if file.size <= piece_bytes or not (file.by_rows or file.path.endswith(".jsonl")):
        return [file]
    try:
        spans, context = _spans(file.path, piece_bytes)
    except (OSError, Fault, pa.ArrowException):
        return [file]
    return [replace(file, start=s, size=n, first_line=line, context=file.context + context) for s, n, line in spans]


def resolve(spec: SourceSpec) -> Path:
    """Where a spec points, absolute: the bundled sample, or a path in which `${PE_RAY_DATA}` may stand."""
    if spec.path == "bundled":
        return Path(str(resources.files("pe_ray.corpus") / "samples" / spec.kind))
    return expand(spec.path)


def expand(path: str) -> Path:
    """An absolute path from one of a run file: `${PE_RAY_DATA}` is the folder of public data sets."""
    beside_repository = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    data = os.environ.get("PE_RAY_DATA") or str(beside_repository)
    return Path(path.replace("${PE_RAY_DATA}", data)).expanduser().absolute()


def origin(spec: SourceSpec) -> dict[str, str]:
    """Licence and attribution of a spec's records: what it says, else what we know."""
    ours = spec.path == "bundled"
    return {
        "licence": spec.licence or (OWN_LICENCE if ours else "unstated"),
        "attribution": spec.attribution or (OWN_ATTRIBUTION if ours else "unstated"),
    }


def read_jsonl(
    spec: SourceSpec, files: Sequence[SourceFile], to_record: ToRecord, max_row_bytes: int = MAX_ROW_BYTES
) -> Iterator[Record | Unreadable]:
    """Each line of each file through `to_record`, which raises Fault for a row that it cannot take."""
    for file in files:
        yield from read_each(spec, file, json_lines(spec, file, max_row_bytes), to_record)


def read_each(
    spec: SourceSpec, file: SourceFile, rows: Iterable[Row | Unreadable], to_record: ToRecord
) -> Iterator[Record | Unreadable]:
    """Each row through `to_record`; a field that the row does not have is filled from the spec's `values`."""
    for row in rows:
        if isinstance(row, Unreadable):
            yield row
            continue
        try:
            made = to_record(spec, file, replace(row, data=spec.values | row.data) if spec.values else row)
        except Fault as fault:
            yield Unreadable(spec.source, file.uri, row.line, fault.name, fault.reason)
            continue
        yield from made if isinstance(made, list) else [made]


def json_lines(spec: SourceSpec, file: SourceFile, max_row_bytes: int = MAX_ROW_BYTES) -> Iterator[Row | Unreadable]:
    """The rows of a .jsonl file, or of a piece of one."""
    try:
        with Path(file.path).open("rb") as handle:
            if problem := _probe(handle.read(PROBE_BYTES)):
                yield Unreadable(spec.source, file.uri, 0, "file", problem)
                return
            for line in lines(handle, file.start, file.first_line, file.size, max_row_bytes):
                if line.data is None or line.data.strip():
                    yield _row(spec, file, line, max_row_bytes)
    except OSError as error:
        yield _cannot_open(spec, file, error)


def json_document(spec: SourceSpec, file: SourceFile) -> Iterator[Row | Unreadable]:
    """The rows of a .json file: a list of objects, alone or as the one such list of an object; numbered from 1."""
    words = read_text(spec, file)
    if isinstance(words, Unreadable):
        yield words
        return
    try:
        data = _parsed(words.encode())
    except Fault as fault:
        yield Unreadable(spec.source, file.uri, 0, "file", fault.reason)
        return
    values = data.values() if isinstance(data, dict) else [data]
    tables = [v for v in values if isinstance(v, list) and v and all(isinstance(row, dict) for row in v)]
    if len(tables) != 1:
        yield Unreadable(spec.source, file.uri, 0, "file", "holds no single list of objects, one for each row")
        return
    yield from (Row(number, row) for number, row in enumerate(tables[0], start=1))


def delimited_rows(spec: SourceSpec, file: SourceFile) -> Iterator[Row | Unreadable]:
    """The rows of a .csv or .tsv file, or of a piece of one, by the names in its header."""
    try:
        with Path(file.path).open("rb") as handle:
            problem = _probe(handle.read(PROBE_BYTES))
        if problem:
            yield Unreadable(spec.source, file.uri, 0, "file", problem)
            return
        names = delimited.header(file.path)
        for cells in delimited.rows(file.path, file.start, file.first_line, file.size):
            if cells.values is None:
                yield Unreadable(spec.source, file.uri, cells.line, "line", cells.fault)
            else:
                yield Row(cells.line, dict(zip(names, cells.values, strict=True)))
    except Fault as fault:
        yield Unreadable(spec.source, file.uri, 1, fault.name, fault.reason)
    except OSError as error:
        yield _cannot_open(spec, file, error)


def read_text(spec: SourceSpec, file: SourceFile, max_bytes: int = MAX_TEXT_BYTES) -> str | Unreadable:
    """A whole UTF-8 text file."""
    try:
        with Path(file.path).open("rb") as handle:
            data = handle.read(max_bytes + 1)
    except OSError as error:
        return _cannot_open(spec, file, error)
    problem = no_text(data[:PROBE_BYTES])
    if len(data) > max_bytes:
        problem = f"is longer than {max_bytes / (1 << 20):g} MiB; cut it into several files"
    if problem:
        return Unreadable(spec.source, file.uri, 0, "file", problem)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Unreadable(spec.source, file.uri, line, "file", f"byte {error.start} is not UTF-8; save it as UTF-8")


def make_record(
    spec: SourceSpec,
    file: SourceFile,
    offset: int,
    *,
    domain: str,
    content_type: str,
    messages: Sequence[tuple[str, str]],
    metadata: dict[str, str],
) -> Record:
    """A record of this source; raises Fault for a domain or content type that does not exist."""
    one_of("domain", domain, DOMAINS)
    one_of("content_type", content_type, CONTENT_TYPES)
    return Record.create(
        source=spec.source,
        domain=domain,
        content_type=content_type,
        messages=[Message(role, text) for role, text in messages],  # type: ignore[arg-type]
        uri=file.uri,
        offset=offset,
        metadata=metadata,
        **origin(spec),
    )


def _walk(root: Path) -> Iterator[Path]:
    """All files under a folder; raises OSError for one that may not be read, about which rglob is silent."""

    def fail(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(root, onerror=fail):
        yield from (Path(folder, name) for name in names)


def _spans(path: str, piece_bytes: int) -> tuple[list[tuple[int, int, int]], str]:
    """Start, size and first line of each piece, and the context that they share."""
    if path.endswith(".parquet"):
        return list(columnar.pieces(path, piece_bytes)), json.dumps(columnar.names(path))
    with Path(path).open("rb") as handle:
        is_text = not _probe(handle.read(PROBE_BYTES))
        if is_text and path.endswith(".jsonl"):
            return list(pieces(handle, piece_bytes)), ""
    if is_text and path.endswith((".csv", ".tsv")):
        return list(delimited.pieces(path, piece_bytes)), json.dumps(delimited.header(path))
    raise Fault("file", "is not of a form that is cut")


def _row(spec: SourceSpec, file: SourceFile, line: Line, max_row_bytes: int) -> Row | Unreadable:
    try:
        if line.data is None:
            raise Fault("line", too_long(max_row_bytes))
        data = _parsed(line.data)
        if not isinstance(data, dict):
            raise Fault("line", f"is {kind(data)}; a JSON object is wanted")
    except Fault as fault:
        return Unreadable(spec.source, file.uri, line.number, fault.name, fault.reason)
    return Row(line.number, data)


def _parsed(raw: bytes) -> Any:
    try:
        data = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Fault("line", f"byte {error.start} is not UTF-8; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise Fault("line", f"is not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):  # an integer of thousands of digits, or brackets nested without end
        raise Fault("line", "is JSON that cannot be held; one flat object is wanted") from None
    if b"\\ud" in raw.lower() and not _encodes(data):
        raise Fault("line", "holds half a surrogate pair, which is no character")
    return data


def _encodes(data: Any) -> bool:
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _probe(head: bytes) -> str | None:
    return no_text(head) if head else "is empty; rows are wanted"


def _cannot_open(spec: SourceSpec, file: SourceFile, error: OSError) -> Unreadable:
    return Unreadable(spec.source, file.uri, 0, "file", f"cannot be opened: {error.strerror}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the reader will say what is wrong with it
