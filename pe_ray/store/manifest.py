"""A directory exists for others when its manifest does, and the manifest is written last.

    with stage(home.corpus("therapy", fp), kind="corpus", parents={...}) as out:
        write_parquet(out / "records" / "part-0.parquet")
        out.facts["kept"] = 300

The block writes into a hidden directory beside the target; on success the manifest is written and the directory takes
its name in one rename. An interrupted job leaves nothing that looks finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pe_ray.errors import ManifestError

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What a finished directory holds and what it was made from."""

    kind: str
    parents: Mapping[str, str]
    """Role to identity: {"corpus": fingerprint, "run": id, "config": hash, ...}."""
    facts: Mapping[str, Any]
    """What a reader would otherwise have to recompute."""
    files: Mapping[str, Mapping[str, Any]]
    """Relative path to {"bytes", "sha256"}."""
    created_at: str


@dataclass
class Stage:
    """A directory in the making; `stage / name` is a path inside it."""

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)

    def __truediv__(self, name: str) -> Path:
        return self.path / name


@contextmanager
def stage(target: Path, *, kind: str, parents: Mapping[str, str]) -> Iterator[Stage]:
    """Write a directory that appears, whole and with its manifest, when the block ends without an error.

    A finished directory of that name is left as it is by then (it was made from the same inputs); an unfinished one is
    replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    work.mkdir()
    try:
        out = Stage(work)
        yield out
        write(work, kind=kind, parents=parents, facts=out.facts)
        if is_finished(target):
            shutil.rmtree(work)
            return
        if target.exists():
            shutil.rmtree(target)
        work.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def write(directory: Path, *, kind: str, parents: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """List the files under `directory` with their hashes, and write the manifest atomically."""
    files = {}
    for path in sorted(p for p in directory.rglob("*") if p.is_file() and p.name != NAME):
        files[path.relative_to(directory).as_posix()] = {"bytes": path.stat().st_size, "sha256": file_hash(path)}
    body = {
        "format": FORMAT,
        "kind": kind,
        "parents": dict(parents),
        "facts": dict(facts),
        "files": files,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(directory / NAME, body)


def read(directory: Path, kind: str | None = None, *, verify: bool = False) -> Manifest:
    """The manifest of a finished directory; with `verify`, every file is hashed again.

    Raises ManifestError if it is absent, unreadable, of a later format, of another kind, or a file
    is missing or changed.
    """
    path = directory / NAME
    if not path.is_file():
        raise ManifestError(f"{directory}: no {NAME}, so it was never finished; run the step that makes it again")
    try:
        body = json.loads(path.read_text())
        manifest = Manifest(body["kind"], body["parents"], body["facts"], body["files"], body["created_at"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ManifestError(f"{path}: is damaged ({type(error).__name__}); run the step that makes it again") from None
    if body.get("format", 0) > FORMAT:
        raise ManifestError(
            f"{path}: format {body['format']} is newer than this pe_ray understands ({FORMAT}); upgrade pe_ray"
        )
    if kind is not None and manifest.kind != kind:
        raise ManifestError(f"{directory}: holds a {manifest.kind}; a {kind} is wanted")
    for name, want in manifest.files.items():
        file = directory / name
        if not file.is_file() or file.stat().st_size != want["bytes"]:
            raise ManifestError(f"{file}: is missing or has another size than its manifest says")
        if verify and file_hash(file) != want["sha256"]:
            raise ManifestError(f"{file}: has changed since its manifest was written")
    return manifest


def remove(directory: Path) -> None:
    """Take a directory away; its manifest first, so that nobody takes what is left for finished."""
    (directory / NAME).unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)


def sweep(folder: Path, older_than_s: float = 3600.0) -> None:
    """Remove what killed jobs left half-written in a folder of staged directories."""
    for path in folder.glob(".*.????????"):
        if path.is_dir() and time.time() - path.stat().st_mtime > older_than_s:
            shutil.rmtree(path, ignore_errors=True)


def is_finished(directory: Path) -> bool:
    """Whether `directory` has a manifest."""
    return (directory / NAME).is_file()


def write_json(path: Path, body: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it, also after a power cut."""
    write_bytes(path, (json.dumps(body, indent=1, ensure_ascii=False, sort_keys=False) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Atomic, durable replacement of one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with temporary.open("wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)
    _sync(path.parent)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
