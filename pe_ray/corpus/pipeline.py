"""The corpus as a list of stages, and `build`, which runs it in this process.

    read -> STAGES -> annotations | decide -> snapshot

What stands before the bar is done batch by batch, in any order, on any number of machines; `job.py` maps the same list
over Ray Data blocks. What stands after it sees the whole corpus, but only small key columns of it. So both engines make
the same decisions, byte for byte, and the same fingerprint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pe_ray.config import Config, CorpusConfig
from pe_ray.corpus import annotated, clean, dedup, snapshot
from pe_ray.corpus.decide import decide
from pe_ray.corpus.quality import bias, coherence, crisis, generic
from pe_ray.errors import UserError
from pe_ray.record import digest, from_table, to_table
from pe_ray.store.paths import Home

CODE_VERSION = "1"
"""Part of every corpus fingerprint: raise it when the same input is decided differently."""

Fill = Callable[[Sequence[annotated.Part], Path], None]
"""Annotates the parts into a folder."""
Spread = Callable[[Callable[[Any], None], Sequence[Any]], None]
"""Calls a function on each item, in any order, anywhere."""


@dataclass(frozen=True)
class CorpusResult:
    """A finished snapshot. `stage` is the `corpus` object of summary.json."""

    path: Path
    fingerprint: str
    stage: dict[str, Any]


def checks(table: pa.Table) -> pa.Table:
    """The row checks that need nothing but the record, lifted over a batch."""
    verdicts = [[asdict(c.check(record)) for c in (coherence, generic, bias)] for record in from_table(table)]
    at = table.schema.get_field_index("verdicts")
    return table.set_column(at, table.schema.field(at), pa.array(verdicts, table.schema.field(at).type))


def describe(table: pa.Table) -> pa.Table:
    """Small columns for the decision and the report: labels, and words on either side."""
    labels = [json.loads(m) for m in table["metadata"].to_pylist()]
    messages = table["messages"].to_pylist()
    for name in ("category", "difficulty", "question"):
        table = table.append_column(name, pa.array([row.get(name) for row in labels], pa.string()))
    for role in ("user", "assistant"):
        said = [sum(len(m["text"].split()) for m in row if m["role"] == role) for row in messages]
        table = table.append_column(f"{role}_words", pa.array(said, pa.int32()))
    return table


STAGES: tuple[Callable[[pa.Table], pa.Table], ...] = (clean.apply, dedup.apply, checks, crisis.apply, describe)
"""What is done to every batch, in order. A stage adds columns or repairs them; none drops a row."""


def annotate(table: pa.Table) -> pa.Table:
    """A batch through the list of stages."""
    for stage in STAGES:
        table = stage(table)
    return table


def build(config: Config, home: Home) -> CorpusResult:
    """Build the corpus in this process.

    Raises SourceError for a source that cannot be opened, and `snapshot.Refused` (a GateNotMet, after the report is
    written) if too few rows could be read or the shares cannot be filled.
    """
    return run(config, home, _annotate_here, _each)


def run(config: Config, home: Home, fill: Fill, spread: Spread) -> CorpusResult:
    """Build with an engine: `fill` makes a folder of annotations from parts, `spread` calls a function on each item."""
    folder = annotated.ensure(config.corpus, home, fill)
    quarantine = annotated.read_quarantine(folder)
    keys = annotated.read_keys(folder)
    if keys is None and not quarantine:
        raise UserError("corpus.sources: hold no rows at all; add at least one record")
    decided = decide(_no_keys() if keys is None else keys, config.corpus)
    fingerprint = fingerprint_of(decided.table, quarantine, config.corpus)
    draft = snapshot.Draft(config, folder, decided, quarantine, fingerprint)
    path, stage = snapshot.write(draft, home, spread)
    return CorpusResult(path, fingerprint, stage)


def fingerprint_of(decided: pa.Table, quarantine: Iterable[dict[str, Any]], config: CorpusConfig) -> str:
    """What this corpus is: ids, cleaned records, decisions, unreadable rows, the configuration and the code's version.

    Where the files lie, the order in which they are read and the engine are left out: they change nothing.
    """
    names = ["id", "row_key", "status", "stage", "reason", "held_for", "copies", "split"]
    rows = sorted(json.dumps(row) for row in decided.select(names).to_pylist())
    settings = config.model_dump(mode="json", exclude={"engine", "sources"})
    specs = sorted(json.dumps(s.model_dump(exclude={"path"}), sort_keys=True) for s in config.sources)
    errors = [json.dumps(u, sort_keys=True) for u in quarantine]
    return digest(CODE_VERSION, json.dumps(settings, sort_keys=True), *specs, "errors", *errors, "rows", *rows)


def _annotate_here(parts: Sequence[annotated.Part], out: Path) -> None:
    for part in parts:
        for table in annotated.read_part(part, out):
            annotated.store(annotate(table), out)


def _each(function: Callable[[Any], None], items: Sequence[Any]) -> None:
    for item in items:
        function(item)


def _no_keys() -> pa.Table:
    table = annotate(annotated.placed(to_table([]), 0, 0))
    none = pa.array([], pa.int64())
    return table.append_column("file", none.cast(pa.string())).append_column("position", none)
