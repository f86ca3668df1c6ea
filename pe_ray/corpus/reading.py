"""From a `SourceSpec` to files, and from a file to rows: what every source shares.

A source that cannot be opened at all stops the run with one line (SourceError). Anything smaller (a file that is
binary, a line that is not JSON, a key that is missing) becomes one `Unreadable` and the run goes on: the ledger counts
it. No message repeats what a row says, because that may be a client's words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from pe_ray.config import SourceSpec
from pe_ray.corpus.row import Fault, kind, one_of
from pe_ray.errors import SourceError
from pe_ray.record import CONTENT_TYPES, DOMAINS, Message, Record

OWN_LICENCE = "Apache-2.0"
OWN_ATTRIBUTION = "The pe_ray developers"
BINARY_PROBE_BYTES = 8192


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
    """A piece of a large file begins at this byte, which is this line; `size` is the piece's."""


@dataclass(frozen=True)
class ReadPlan:
    """What a source would read: the files, in order. `corpus/job.py` reads them in tasks."""

    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class Row:
    """One JSON object and the line that it stood on."""

    line: int
    data: dict[str, Any] = field(repr=False)


def plan_files(spec: SourceSpec, suffix: str) -> ReadPlan:
    """The files of `suffix` at the spec's path, sorted by their relative path.

    Raises SourceError if the path is absent, cannot be opened, or holds no such file.
    """
    root = resolve(spec)
    where = f"corpus.sources {spec.kind}: path={spec.path}"
    if not root.exists():
        raise SourceError(f"{where}: no such file or folder ({root}); give a {suffix} file or a folder of them")
    try:
        if root.is_file():
            root.open("rb").close()
            found = [(root, root.name)]
        else:
            any(root.iterdir())  # rglob is silent about a folder that it may not read
            found = [(p, p.relative_to(root).as_posix()) for p in root.rglob(f"*{suffix}") if not p.is_dir()]
    except OSError as error:
        raise SourceError(f"{where}: cannot be opened ({error.strerror}); make it readable for this user") from None
    if not found:
        raise SourceError(f"{where}: holds no *{suffix} file, which is what the {spec.kind} reader reads")
    ordered = sorted(found, key=lambda f: f[1])
    return ReadPlan(tuple(SourceFile(str(path), uri, _size(path)) for path, uri in ordered))


def cut(file: SourceFile, piece_bytes: int) -> list[SourceFile]:
    """A .jsonl file as pieces of about `piece_bytes`, each of whole lines; any other file, or a small one, as it is."""
    if file.size <= piece_bytes or not file.path.endswith(".jsonl"):
        return [file]
    pieces, start, line = [], 0, 1
    try:
        with Path(file.path).open("rb") as handle:
            if _binary(handle.read(BINARY_PROBE_BYTES)):
                return [file]
            handle.seek(0)
            while head := handle.read(piece_bytes):
                body = head + handle.readline()
                pieces.append(replace(file, start=start, size=len(body), first_line=line))
                start, line = start + len(body), line + body.count(b"\n")
    except OSError:
        return [file]
    return pieces


def resolve(spec: SourceSpec) -> Path:
    """Where a spec points, absolute: the bundled sample, or a path in which `${PE_RAY_DATA}` may stand."""
    if spec.path == "bundled":
        return Path(str(resources.files("pe_ray.corpus") / "samples" / spec.kind))
    beside_repository = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    data = os.environ.get("PE_RAY_DATA") or str(beside_repository)
    return Path(spec.path.replace("${PE_RAY_DATA}", data)).expanduser().absolute()


def origin(spec: SourceSpec) -> dict[str, str]:
    """Licence and attribution of a spec's records: what it says, else what we know."""
    ours = spec.path == "bundled"
    return {
        "licence": spec.licence or (OWN_LICENCE if ours else "unstated"),
        "attribution": spec.attribution or (OWN_ATTRIBUTION if ours else "unstated"),
    }


def read_jsonl(
    spec: SourceSpec, files: Sequence[SourceFile], to_record: Callable[[SourceSpec, SourceFile, Row], Record]
) -> Iterator[Record | Unreadable]:
    """Each line of each file through `to_record`, which raises Fault (or ValueError) for a row that it cannot take."""
    for file in files:
        for row in _rows(spec, file):
            if isinstance(row, Unreadable):
                yield row
                continue
            try:
                yield to_record(spec, file, row)
            except Fault as fault:
                yield Unreadable(spec.kind, file.uri, row.line, fault.name, fault.reason)


def read_text(spec: SourceSpec, file: SourceFile) -> str | Unreadable:
    """A whole UTF-8 text file."""
    try:
        data = Path(file.path).read_bytes()
    except OSError as error:
        return _cannot_open(spec, file, error)
    if problem := _binary(data[:BINARY_PROBE_BYTES]):
        return Unreadable(spec.kind, file.uri, 0, "file", problem)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Unreadable(spec.kind, file.uri, line, "file", f"byte {error.start} is not UTF-8; save it as UTF-8")


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
        source=spec.kind,
        domain=domain,
        content_type=content_type,
        messages=[Message(role, text) for role, text in messages],  # type: ignore[arg-type]
        uri=file.uri,
        offset=offset,
        metadata=metadata,
        **origin(spec),
    )


def _rows(spec: SourceSpec, file: SourceFile) -> Iterator[Row | Unreadable]:
    try:
        with Path(file.path).open("rb") as handle:
            if problem := _binary(handle.read(BINARY_PROBE_BYTES)):
                yield Unreadable(spec.kind, file.uri, 0, "file", problem)
                return
            handle.seek(file.start)
            left = file.size
            for line, raw in enumerate(handle, start=file.first_line):
                data = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
                if data.strip():
                    yield _row(spec, file, line, data)
                left -= len(raw)
                if left <= 0:
                    break
    except OSError as error:
        yield _cannot_open(spec, file, error)


def _row(spec: SourceSpec, file: SourceFile, line: int, raw: bytes) -> Row | Unreadable:
    try:
        data = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Unreadable(spec.kind, file.uri, line, "line", f"byte {error.start} is not UTF-8; save it as UTF-8")
    except json.JSONDecodeError as error:
        return Unreadable(spec.kind, file.uri, line, "line", f"is not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError):  # an integer of thousands of digits, or brackets nested without end
        return Unreadable(spec.kind, file.uri, line, "line", "is JSON that cannot be held; one flat object is wanted")
    if "\\ud" in raw.decode().casefold() and not _encodes(data):
        return Unreadable(spec.kind, file.uri, line, "line", "holds half a surrogate pair, which is no character")
    if not isinstance(data, dict):
        return Unreadable(spec.kind, file.uri, line, "line", f"is {kind(data)}; a JSON object is wanted")
    return Row(line, data)


def _encodes(data: Any) -> bool:
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _cannot_open(spec: SourceSpec, file: SourceFile, error: OSError) -> Unreadable:
    return Unreadable(spec.kind, file.uri, 0, "file", f"cannot be opened: {error.strerror}")


def _binary(head: bytes) -> str | None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "is UTF-16; save it as UTF-8"
    return "is binary; UTF-8 text is wanted" if b"\0" in head else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the reader will say what is wrong with it
