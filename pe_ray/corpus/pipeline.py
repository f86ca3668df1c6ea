"""The corpus from sources to snapshot, and `build`, which makes it in this process.

    read -> stages -> shards | duplicates -> decide -> snapshot

What stands before the bar is done part by part, in any order, on any number of machines; `job.py` spreads the same
functions over Ray. What stands after it sees the whole corpus, but only small key columns of it. So both engines make
the same decisions, byte for byte, and the same fingerprint.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from pe_ray.config import Config, CorpusConfig
from pe_ray.corpus import duplicates, shards, snapshot
from pe_ray.corpus.decide import KEY_COLUMNS, decide, slim
from pe_ray.corpus.duplicates import Spread
from pe_ray.corpus.quality.tiers import totals
from pe_ray.corpus.review import Docket, remember
from pe_ray.errors import UserError
from pe_ray.monitor.memory import give_back
from pe_ray.record import digest
from pe_ray.store.paths import Home

CODE_VERSION = "2"
"""Part of every corpus fingerprint: raise it when the same input is decided differently."""


Say = Callable[[str], None]


def quiet(text: str) -> None:
    """Says nothing."""


class Engine(Protocol):
    """Where the work is done."""

    def fill(self, work: Sequence[shards.Work], done: Callable[[], None]) -> None:
        """Annotate parts, each into its shard, in any order; `done` is called after each."""

    @property
    def spread(self) -> Spread:
        """Calls a function on each item, anywhere; results come in order."""


@dataclass(frozen=True)
class Here:
    """This process."""

    spread: Spread = map

    def fill(self, work: Sequence[shards.Work], done: Callable[[], None]) -> None:
        for piece in work:
            shards.annotate_part(piece)
            done()


@dataclass(frozen=True)
class CorpusResult:
    """A finished snapshot. `stage` is the `corpus` object of summary.json."""

    path: Path
    fingerprint: str
    stage: dict[str, Any]


def build(config: Config, home: Home, say: Say = quiet) -> CorpusResult:
    """Build the corpus in this process; `say` is told how far it is.

    Raises SourceError for a source that cannot be opened, and `snapshot.Refused` (a GateNotMet, after the report is
    written) if too few rows could be read or the shares cannot be filled.
    """
    return run(config, home, Here(), say)


def run(config: Config, home: Home, engine: Engine, say: Say = quiet) -> CorpusResult:
    """Build with an engine."""
    duplicates.check(config.corpus)
    folders = shards.ensure(config.corpus, home, engine.fill, say)
    spent, clock = shards.cpu_seconds(folders), Clock()
    quarantine = shards.read_quarantine(folders)
    keys = shards.read_keys(folders, KEY_COLUMNS, partial(slim, config=config.corpus.checks))
    if not len(keys) and not quarantine:
        raise UserError("corpus.sources: hold no rows at all; add at least one record")
    clock.add(spent, "balance")
    say(f"corpus: {len(keys)} records; looking for duplicates")
    found = duplicates.find(keys, folders, config.corpus, home, engine.spread)
    give_back()
    clock.add(spent, "de-duplicate")
    docket = Docket.load(home, config.corpus)
    for problem in docket.problems:
        say(f"corpus: {problem.where}: {problem.what}; not believed (pe-ray audit verify)")
    decided = decide(keys, config.corpus, found, docket)
    remember(home, keys, docket)
    fingerprint = fingerprint_of(decided.table, quarantine, config.corpus)
    clock.add(spent, "balance")
    draft = snapshot.Draft(config, folders, decided, quarantine, fingerprint, spent)
    say(f"corpus: {int((decided.table['status'].to_numpy() == 'kept').sum())} records are kept; writing them")
    path, stage = snapshot.write(draft, home, engine.spread)
    for tier, cpu_s, verdicts in totals(shards.tier_costs(folders)):
        say(f"corpus: {tier} tier of checks: {cpu_s:.2f} CPU s, {verdicts} verdicts on {len(keys)} records")
    return CorpusResult(path, fingerprint, stage)


class Clock:
    """CPU seconds of this process since the last call."""

    def __init__(self) -> None:
        self.last = time.process_time()

    def add(self, spent: Counter[str], phase: str) -> None:
        now = time.process_time()
        spent[phase] += now - self.last
        self.last = now


def fingerprint_of(decided: pa.Table, quarantine: Iterable[dict[str, Any]], config: CorpusConfig) -> str:
    """What this corpus is: ids, cleaned records, decisions (the reviewers' too), unreadable rows, the configuration and
    the code's version.

    Where the files lie, the order in which they are read, how they are cut and the engine are left out: they change
    nothing.
    """
    names = ["id", "row_key", "status", "stage", "reason", "held_for", "copies", "split"]
    rows = decided.select(names).sort_by([("id", "ascending"), ("row_key", "ascending")])
    settings = config.model_dump(mode="json", exclude={"engine", "part_mib", "formats", "sources", "decontaminate"})
    settings["duplicates"] |= {"partitions": None, "index": None, "save_index": None}
    settings["evaluation"] = [e.name for e in config.decontaminate]  # the card says of each what it kept out
    specs = sorted(json.dumps(s.model_dump(exclude={"path"}), sort_keys=True) for s in config.sources)
    errors = [json.dumps(u, sort_keys=True) for u in quarantine]
    lines = (json.dumps(row) for batch in rows.to_batches(max_chunksize=4096) for row in batch.to_pylist())
    ruled = decided.filter(pc.is_valid(decided["decided_by"])).select(["id", "decided_by"]).to_pylist()
    review = sorted(json.dumps(row) for row in ruled)
    return digest(
        CODE_VERSION, json.dumps(settings, sort_keys=True), *specs, "errors", *errors, "rows", *lines, *review
    )
