"""What a run has done so far, on disk before it counts: lines of JSON in numbered shards.

| line | means |
|---|---|
| `{"sent": request, "usd"}` | a request is about to leave and may cost so much |
| `{"cost": request, "prompt", "completion", "usd", "assumed"}` | what it came to |
| `{"done": scenario, "row", "said", "review"}` | a finished scenario |
| `{"failed": scenario, "reason", "again"}` | one that failed; `again`: worth another try at the next start |

Each start writes a shard of its own, so a line that a killed process tore is the last of its shard; it is dropped with
a note. Appends of many tasks share one write and one fsync.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pe_ray.errors import PeRayError

LOCK = "lock"


@dataclass
class State:
    """What the shards say."""

    done: dict[str, tuple[Path, int]] = field(default_factory=dict)
    """Scenario to its shard and byte."""
    failed: dict[str, str] = field(default_factory=dict)
    """Scenario to reason."""
    again: set[str] = field(default_factory=set)
    """Failed scenarios that are worth another try."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    spent_usd: float = 0.0
    assumed_usd: float = 0.0
    """The part of it that counts as spent because nobody knows better."""
    dropped_lines: int = 0

    def take(self, line: Mapping[str, Any], shard: Path, offset: int, open_requests: dict[str, float]) -> None:
        """Take in one line."""
        if "sent" in line:
            open_requests[line["sent"]] = line["usd"]
        elif "cost" in line:
            open_requests.pop(line["cost"], None)
            self.requests += 1
            self.prompt_tokens += line["prompt"]
            self.completion_tokens += line["completion"]
            self.spent_usd += line["usd"]
            self.assumed_usd += line["usd"] if line["assumed"] else 0.0
        elif "done" in line:
            self.done.setdefault(line["done"], (shard, offset))
            self.failed.pop(line["done"], None)
            self.again.discard(line["done"])
        elif "failed" in line:
            self.failed[line["failed"]] = line["reason"]
            (self.again.add if line["again"] else self.again.discard)(line["failed"])


class Log:
    """The folder of one unfinished set. One process at a time may hold it.

    Raises PeRayError if another process does, or if the disk does not take what is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = (folder / LOCK).open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock_file.close()
            raise PeRayError(f"{folder}: another process is writing this set; wait for it, or end it") from None
        shards = self._shards()
        self.number = int(shards[-1].stem) + 1 if shards else 1
        self.shard = folder / f"{self.number:06d}.jsonl"
        self._file: int | None = None
        self._size = 0
        self._error: OSError | None = None
        self._batch = _Batch()
        self._turn = asyncio.Lock()

    def read(self) -> Iterator[tuple[dict[str, Any] | None, Path, int]]:
        """Every line of earlier shards with its place; None for one that is torn or damaged."""
        for shard in self._shards():
            if shard != self.shard:
                offset = 0
                with shard.open("rb") as file:
                    for raw in file:
                        yield _parsed(raw), shard, offset
                        offset += len(raw)

    def state(self) -> State:
        """What earlier starts have done; a request of theirs without an end counts as spent at its worst."""
        found, under_way = State(), dict[str, float]()
        for line, shard, offset in self.read():
            if line is None:
                found.dropped_lines += 1
            else:
                found.take(line, shard, offset, under_way)
        found.requests += len(under_way)
        found.spent_usd += sum(under_way.values())
        found.assumed_usd += sum(under_way.values())
        return found

    async def append(self, *lines: Mapping[str, Any]) -> list[int]:
        """Return when these lines are on disk, with the byte at which each begins."""
        batch = self._batch
        places = [batch.add(json.dumps(line, ensure_ascii=False, separators=(",", ":"))) for line in lines]
        async with self._turn:
            if batch.begins is None and self._error is None:
                self._batch = _Batch()  # whoever comes now goes with the next write
                try:
                    batch.begins = await asyncio.to_thread(self._write, b"".join(batch.parts))
                except OSError as error:
                    self._error = error  # the shard may end in half a line: nothing may follow it
        if batch.begins is None:
            assert self._error is not None
            raise PeRayError(
                f"{self.shard}: cannot be written ({self._error.strerror}); make room and run the same again: "
                "what was finished before is kept"
            )
        return [batch.begins + place for place in places]

    def close(self) -> None:
        """Let another process have the folder."""
        if self._file is not None:
            os.close(self._file)
        self._lock_file.close()

    def _write(self, data: bytes) -> int:
        if self._file is None:
            self._file = os.open(self.shard, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            folder = os.open(self.folder, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        begins = self._size
        rest = memoryview(data)
        while rest:
            written = os.write(self._file, rest)
            self._size += written
            rest = rest[written:]
        os.fsync(self._file)
        return begins

    def _shards(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("*.jsonl") if p.stem.isdigit())


@dataclass
class _Batch:
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    begins: int | None = None
    """Byte of the shard; None until it is on disk."""

    def add(self, line: str) -> int:
        raw = line.encode() + b"\n"
        self.parts.append(raw)
        self.size += len(raw)
        return self.size - len(raw)


def row_at(shard: Path, offset: int) -> dict[str, Any]:
    """The line that stands there."""
    with shard.open("rb") as file:
        file.seek(offset)
        found = _parsed(file.readline())
    assert found is not None, f"{shard} byte {offset} has changed"
    return found


def _parsed(raw: bytes) -> dict[str, Any] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
