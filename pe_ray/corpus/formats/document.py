"""One JSON document with everything in it: {"format", "name", "fingerprint", "records": [...]}, a record a line.

It is written as a stream, but most readers of JSON hold it whole; for a large corpus take jsonl.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pe_ray.corpus.formats.rows import Snapshot, dumps

NAME = "corpus.json"
FORMAT = "pe_ray.corpus/1"


def write(snapshot: Snapshot, out: Path) -> dict[str, Any]:
    """One file, with all splits; each record says which it is in."""
    counts: Counter[str] = Counter()
    head = {"format": FORMAT, "name": snapshot.name, "fingerprint": snapshot.fingerprint}
    with (out / NAME).open("wb") as file:
        file.write(f'{dumps(head)[:-1]}, "records": ['.encode())
        for row in snapshot.rows():
            file.write(f"{',' if counts else ''}\n{dumps(row)}".encode())
            counts[row["split"]] += 1
        file.write(b"\n]}\n")
    return {"rows": dict(sorted(counts.items()))}
