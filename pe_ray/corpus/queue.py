"""The records that wait for a clinician, over all snapshots of a corpus: what they are held for, how long they wait.

A record is in the queue when the `review.parquet` of a snapshot holds it. It is `current` when the newest snapshot
does; what only older ones hold was changed or taken away at its source since, or decided.
"""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pe_ray.config import CorpusConfig
from pe_ray.corpus.review import Docket, Standing
from pe_ray.errors import ManifestError, PeRayError, UserError
from pe_ray.monitor import metrics
from pe_ray.record import RECORD_SCHEMA
from pe_ray.security.decisions import Decision, Matter
from pe_ray.store import manifest
from pe_ray.store.corpora import REVIEW, open_corpus
from pe_ray.store.paths import Home

LOG = logging.getLogger("pe_ray.review")
OPEN = ("waiting", "second")
SHORTEST_ID, NAMED_IDS = 6, 5
DAY_S = 86400.0
COLUMNS = ("id", "source", "content_type", "held_for", "level", "content")
FORMAT = "pe_ray.review/1"


@dataclass(frozen=True)
class Item:
    """One held record, without its words."""

    matter: Matter
    source: str
    content_type: str
    standing: Standing
    decisions: tuple[Decision, ...]
    """All that were ever taken about it and stand up, also those that apply to what it was before."""
    held_since: str
    snapshot: Path
    """The newest snapshot that holds it."""
    current: bool

    def age_s(self, now: datetime) -> float:
        """Seconds since a snapshot held it first."""
        return max(0.0, (now - datetime.fromisoformat(self.held_since)).total_seconds())

    def told(self, now: datetime) -> dict[str, Any]:
        """What a list says of it."""
        return {
            "record_id": self.matter.record_id,
            "corpus": self.matter.corpus,
            "source": self.source,
            "content_type": self.content_type,
            "held_for": sorted(self.matter.held_for),
            "level": self.matter.level,
            "age_days": round(self.age_s(now) / DAY_S, 2),
            "held_since": self.held_since,
            "state": self.standing.state,
            "approved_by": [d.reviewer for d in self.standing.decisions if d.verb == "approve"],
            "current": self.current,
            "snapshot": self.snapshot.name,
        }


@dataclass(frozen=True)
class Queue:
    """How many records of a corpus wait, and for how long; ages are None where none does."""

    waiting: int = 0
    oldest_s: float | None = None
    median_s: float | None = None

    @classmethod
    def of(cls, ages_s: Sequence[float]) -> Queue:
        """The queue of records that have waited that long."""
        return cls(len(ages_s), max(ages_s), statistics.median(ages_s)) if ages_s else cls()

    def ages(self) -> list[tuple[str, float | None]]:
        """Name and seconds of each age."""
        return [("oldest", self.oldest_s), ("median", self.median_s)]


def now() -> datetime:
    """The time, as ages are measured."""
    return datetime.now(UTC)


def names(home: Home) -> list[str]:
    """Corpora that have a finished snapshot."""
    return sorted(p.name for p in (home.root / "corpora").glob("*") if snapshots(home, p.name))


def snapshots(home: Home, name: str) -> dict[Path, str]:
    """The finished snapshots of a corpus and when each was made; the one that was built last stands at the end.

    One that is damaged is left out: the next build makes it anew.
    """
    found = {}
    for folder in (p.parent for p in (home.root / "corpora" / name).glob(f"*/{REVIEW}")):
        try:
            made = manifest.read(folder, "corpus")
        except ManifestError:
            continue
        if not folder.name.startswith("."):
            found[folder] = made.created_at
    return dict(sorted(found.items(), key=lambda kv: ((kv[0] / "records").stat().st_mtime_ns, kv[0].name)))


def items(home: Home, name: str | None = None) -> list[Item]:
    """Every record that any snapshot holds (of one corpus, or of all), the one that waits longest first."""
    found = [item for corpus in ([name] if name else names(home)) for item in _of(home, corpus)]
    return sorted(found, key=lambda i: (i.held_since, i.matter.corpus, i.matter.record_id))


def _of(home: Home, name: str) -> Iterator[Item]:
    folders = list(snapshots(home, name))
    if not folders:
        return
    docket = Docket.load(home, _config(folders[-1]))
    rows: dict[str, tuple[Path, dict[str, Any]]] = {}
    since = first_held(home, name)
    for folder in folders:
        if "content" in pq.read_schema(folder / REVIEW).names:  # else of a version that could not be decided on
            for row in pq.read_table(folder / REVIEW, columns=list(COLUMNS)).to_pylist():
                rows[row["id"]] = (folder, row)
    for id, (folder, row) in rows.items():
        matter = Matter(name, id, row["content"], tuple(row["held_for"]), row["level"])
        decisions = tuple(docket.decisions.get(id, ()))
        yield Item(
            matter,
            row["source"],
            row["content_type"],
            docket.standing(matter),
            decisions,
            since[id],
            folder,
            folder == folders[-1],
        )


def _config(snapshot: Path) -> CorpusConfig:
    """As much of the settings of a snapshot as review needs."""
    told = json.loads((snapshot / "settings.json").read_text(encoding="utf-8"))
    return CorpusConfig.model_validate({"name": told["name"], "review": told.get("review", {})})


def first_held(home: Home, name: str) -> dict[str, str]:
    """Record id to the time of the first snapshot that held it."""
    found: dict[str, str] = {}
    for folder, at in snapshots(home, name).items():
        for id in pq.read_table(folder / REVIEW, columns=["id"])["id"].to_pylist():
            found[id] = min(at, found.get(id, at))
    return found


def measured(home: Home) -> dict[str, Queue]:
    """Of each corpus, the records that its newest snapshot holds and nobody has decided on."""
    at = now()
    found = {}
    for name in names(home):
        open_ = [i.age_s(at) for i in items(home, name) if i.current and i.standing.state in OPEN]
        found[name] = Queue.of(open_)
    return found


def watch(home: Home, every_s: float = 60.0) -> Callable[[], None]:
    """A function that brings the queue's metrics up to date, at most once in `every_s` seconds.

    What cannot be read leaves the figures as they are: a scrape must not fail for it.
    """
    last = -math.inf

    def refresh() -> None:
        nonlocal last
        if time.monotonic() - last < every_s:
            return
        last = time.monotonic()
        try:
            found = measured(home)
        except (PeRayError, OSError) as error:
            LOG.error("the review queue cannot be read: %s", type(error).__name__)
            return
        for gauge in (metrics.REVIEW_WAITING, metrics.REVIEW_SECONDS):
            gauge.clear()  # a corpus that has gone has no queue
        for name, size in found.items():
            metrics.REVIEW_WAITING.labels(name).set(size.waiting)
            for of, seconds in size.ages():
                metrics.REVIEW_SECONDS.labels(name, of).set(seconds or 0.0)

    return refresh


def find(home: Home, ref: str, name: str | None = None) -> Item:
    """The held record whose id begins so. Raises UserError if there is none, or several."""
    fits = [i for i in items(home, name) if len(ref) >= SHORTEST_ID and i.matter.record_id.startswith(ref)]
    ids = sorted({i.matter.record_id for i in fits})
    if len(ids) > 1:
        more = ", ..." if len(ids) > NAMED_IDS else ""
        raise UserError(f"record={ref}: fits {len(ids)} held records: {', '.join(ids[:NAMED_IDS])}{more}")
    if len(fits) > 1:
        corpora = ", ".join(sorted(i.matter.corpus for i in fits))
        raise UserError(f"record={ref}: is held in several corpora; give --corpus, one of {corpora}")
    if not fits:
        where = f"corpus {name}" if name else f"any corpus under {home.root / 'corpora'}"
        raise UserError(
            f"record={ref}: is not held in {where}; give an id of `pe-ray corpus review list`, or its beginning, "
            f"{SHORTEST_ID} digits or more"
        )
    return fits[0]


def record(item: Item) -> dict[str, Any]:
    """The held record itself, with its words. Raises ManifestError if its snapshot was changed since it was made."""
    open_corpus(item.snapshot)
    wanted = pc.field("id") == item.matter.record_id
    return pq.read_table(item.snapshot / REVIEW, columns=RECORD_SCHEMA.names, filters=wanted).to_pylist()[0]


def line(item: Item, at: datetime) -> dict[str, Any]:
    """A held record for an outside tool; whoever reads it back as a source finds it marked for review."""
    names = ("domain", "uri", "offset", "licence", "attribution", "messages")
    row = record(item)
    return {
        "format": FORMAT,
        **item.told(at),
        "content": item.matter.content,
        **{n: row[n] for n in names},
        "review": "required",
    }
