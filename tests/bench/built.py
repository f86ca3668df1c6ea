"""Builds whose figures are written out, for tests of what is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pe_ray.bench.building import Built


def built(cpu_s: float, memory: float = 1.0, fingerprint: str = "a", records: int = 1000) -> Built:
    return Built(fingerprint, records, records, 5, {"clean": cpu_s / 2, "judge": cpu_s / 2}, cpu_s, memory, cpu_s)


@dataclass
class Shelf:
    """Has what a Workshop builds: builds by records and engine, or by the part size that was asked for."""

    folder: Path
    found: dict[tuple[Any, ...], Built] = field(default_factory=dict)

    def dialogues(self, records: int, seed: int = 7) -> Path:
        (self.folder / "rows.jsonl").write_text("x" * records)
        return self.folder

    def built(self, records: int, engine: str = "local", **cut: Any) -> Built:
        return self.found[(records, engine, cut["partitions"]) if cut else (records, engine)]
