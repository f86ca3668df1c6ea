"""What clinical review means for a build: which held records are approved, which are rejected, which still wait.

A record that is held waits until a reviewer decides (`pe-ray corpus review`). The decision applies only to what was
looked at: the same record of the same corpus, holding the same, held for nothing more and graver at nothing; else the
record waits again. The last word counts. A label that once held a record (a category, `review: required`) is
remembered with the record's id and the digest of its words, so that no later edit of the row, and no copy of it in
another source, takes the label back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import insert, select

from pe_ray.config import CorpusConfig
from pe_ray.corpus.quality.crisis import HELD_CATEGORIES
from pe_ray.security.decisions import Decision, Matter, Problem, checked
from pe_ray.store.db import open_database
from pe_ray.store.ops import HELD_LABEL, MIGRATIONS
from pe_ray.store.paths import Home

STAGE = "review"
APPROVED = "approved by review"
MARKED = "marked for review"
TURNED_DOWN = "rejected in review"
REQUIRED = "required"

State = Literal["waiting", "second", "approved", "rejected"]
"""second: one of two reviewers has approved."""


@dataclass(frozen=True)
class Standing:
    """What the decisions about a record come to: the state, and whose decisions made it so."""

    state: State
    decisions: tuple[Decision, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The decisions' ids."""
        return [d.id for d in self.decisions]


WAITING = Standing("waiting")


@dataclass(frozen=True)
class Docket:
    """All that was decided about the records of one corpus, and the labels that hold some for good."""

    corpus: str
    two_person: bool = False
    decisions: Mapping[str, Sequence[Decision]] = field(default_factory=dict)
    """By record id, oldest first; only those that stand up."""
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By record id, and by the digest of a record's words (`text_key`): what it was once labelled with."""
    problems: tuple[Problem, ...] = ()
    """What of the decisions on record does not stand up."""

    @classmethod
    def load(cls, home: Home, config: CorpusConfig) -> Docket:
        """The docket of a corpus, as it is on record in the home's `ops` database."""
        found = checked(home)
        by_record: dict[str, list[Decision]] = defaultdict(list)
        for decision in found.decisions:
            if decision.matter.corpus == config.name:
                by_record[decision.matter.record_id].append(decision)
        return cls(config.name, config.review.two_person, by_record, _remembered(home), found.problems)

    def standing(self, matter: Matter) -> Standing:
        """What was decided about a record as it is now."""
        return standing(self.decisions.get(matter.record_id, ()), matter, self.two_person)


def standing(decisions: Sequence[Decision], matter: Matter, two_person: bool) -> Standing:
    """What decisions about one record, oldest first, come to for the record as it is now."""
    approvals: dict[str, Decision] = {}
    rejection: Decision | None = None
    for decision in decisions:
        if decision.matter.content != matter.content:
            continue
        if decision.verb != "approve":
            approvals, rejection = {}, decision if decision.verb == "reject" else None
        elif _covers(decision.matter, matter):
            approvals[decision.reviewer], rejection = decision, None
    if rejection:
        return Standing("rejected", (rejection,))
    if len(approvals) >= (2 if two_person else 1):
        return Standing("approved", tuple(approvals.values()))
    return Standing("second", tuple(approvals.values())) if approvals else WAITING


def _covers(seen: Matter, now: Matter) -> bool:
    """Whether a reviewer who approved `seen` knew all that `now` is held for."""
    return set(now.held_for) <= set(seen.held_for) and now.level <= seen.level


# --- labels ----------------------------------------------------------------------------------------------------------


def category_of(label: str | None) -> str | None:
    """A category as the design writes it: capitals, blanks and dashes do not make it another one."""
    return "_".join(label.casefold().replace("-", " ").replace("_", " ").split()) if label else None


def labelled(keys: pa.Table) -> dict[int, list[str]]:
    """Rows that a label holds, whatever their words: an edge-case category that is always held, or a mark."""
    held = {"category": HELD_CATEGORIES, "review": {REQUIRED: MARKED}}
    found: dict[int, list[str]] = defaultdict(list)
    for name, reasons in held.items():
        for value in pc.unique(keys[name]).to_pylist():  # a few values, however many rows
            if reason := reasons.get(category_of(value) or ""):
                rows = np.flatnonzero(pc.fill_null(pc.equal(keys[name], value), False).to_numpy(zero_copy_only=False))
                for row in rows.tolist():
                    found[row].append(reason)
    return dict(found)


def remembered(keys: pa.Table, docket: Docket) -> dict[int, list[str]]:
    """Rows that a label of an earlier build holds: the same record, or the same words."""
    if not docket.labels:
        return {}
    known = pa.array(list(docket.labels), pa.string())
    found: dict[int, list[str]] = {}
    for row in np.flatnonzero(pc.is_in(keys["id"], known).to_numpy(zero_copy_only=False)).tolist():
        found[row] = sorted(docket.labels[keys["id"][row].as_py()])
    for row in np.flatnonzero(pc.is_in(keys["text_key"], known).to_numpy(zero_copy_only=False) & _with_words(keys)):
        found[int(row)] = sorted({*found.get(int(row), ()), *docket.labels[keys["text_key"][int(row)].as_py()]})
    return found


def remember(home: Home, keys: pa.Table, docket: Docket) -> None:
    """Note the labels of a build's records that are not on record yet."""
    with_words, fresh = _with_words(keys), set()
    for row, why in labelled(keys).items():
        names = [keys["id"][row].as_py(), *([keys["text_key"][row].as_py()] if with_words[row] else [])]
        fresh |= {(name, reason) for name in names for reason in why if reason not in docket.labels.get(name, ())}
    if not fresh:
        return
    at = datetime.now(UTC).isoformat(timespec="seconds")
    engine = open_database(home.database("ops"), MIGRATIONS)
    try:
        with engine.begin() as connection:
            there = {(row.key, row.reason) for row in connection.execute(select(HELD_LABEL.c.key, HELD_LABEL.c.reason))}
            rows = [{"key": key, "reason": reason, "at": at} for key, reason in sorted(fresh - there)]
            if rows:
                connection.execute(insert(HELD_LABEL), rows)
    finally:
        engine.dispose()


def _remembered(home: Home) -> dict[str, frozenset[str]]:
    engine = open_database(home.database("ops"), MIGRATIONS)
    try:
        with engine.begin() as connection:
            found: dict[str, set[str]] = defaultdict(set)
            for row in connection.execute(select(HELD_LABEL.c.key, HELD_LABEL.c.reason)):
                found[row.key].add(row.reason)
    finally:
        engine.dispose()
    return {key: frozenset(reasons) for key, reasons in found.items()}


def _with_words(keys: pa.Table) -> NDArray[np.bool_]:
    return pc.is_null(keys["fault"]).to_numpy(zero_copy_only=False)
