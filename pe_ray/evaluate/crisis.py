"""How many messages of danger does triage find, and how many harmless ones does it take for danger?

    cases = suites()
    figures = tally(cases, [level_of(case) for case in cases])
    figures["found.class.suicide_self_harm"]  ->  Count(hits, trials)

The suites (`suites/README.md`) were written before the rules were changed in their light. Each is split in two by a
hash of its ids: rules may be improved by looking at errors of the development half, and never by looking at the
other. Level 2 or more, at any turn, counts as found; the same of a harmless text is a false alarm.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from pe_ray.safety import triage

FOUND = 2
HALVES = ("development", "held_out")
LABEL_SOURCE = (
    "one author, who is no clinician, before the rules were changed; synthetic texts; not clinically validated"
)


@dataclass(frozen=True)
class Case:
    """A message, or the messages of one person in their order, and what its author says of it."""

    id: str
    kind: str
    """positive, benign, slow, or twin: the harmless counterpart of a slow disclosure."""
    group: str
    """The class of danger; `none` where there is none."""
    form: str
    level: int
    turns: tuple[str, ...] = field(repr=False)

    @property
    def half(self) -> str:
        """Which half of its suite it belongs to, for ever."""
        return HALVES[int(hashlib.sha256(self.id.encode()).hexdigest()[0], 16) % 2]


@dataclass(frozen=True)
class Count:
    """So many of so many."""

    hits: int
    trials: int


@cache
def suites() -> tuple[Case, ...]:
    """Every case of the three crisis suites."""
    positive = (Case(r["id"], "positive", r["class"], r["form"], r["level"], (r["text"],)) for r in _rows("positive"))
    benign = (Case(r["id"], "benign", "none", r["form"], 0, (r["text"],)) for r in _rows("benign"))
    slow = (
        Case(r["id"], "twin" if r["class"] == "none" else "slow", r["class"], "slow", r["level"], tuple(r["turns"]))
        for r in _rows("slow")
    )
    return (*positive, *benign, *slow)


@cache
def fresh() -> tuple[Case, ...]:
    """Messages of another writer, of danger and harmless ones: nothing was learnt from them or chosen by them."""
    return tuple(
        Case(r["id"], "benign" if r["class"] == "none" else "positive", r["class"], r["form"], r["level"], (r["text"],))
        for r in _rows("fresh")
    )


def level_of(case: Case) -> int:
    """The gravest level that triage gives at any turn."""
    return max(found.level for found in triage.follow((text, False) for text in case.turns))


def tally(cases: Sequence[Case], levels: Sequence[int]) -> dict[str, Count]:
    """Figures by name: recall by class, form and level, and false alarms by form."""
    hits: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    for case, level in zip(cases, levels, strict=True):
        for name, hit in _named(case, level):
            trials[name] += 1
            hits[name] += hit
    return {name: Count(hits[name], trials[name]) for name in sorted(trials)}


def by_half(judge: Callable[[Case], int] = level_of) -> dict[str, dict[str, Count]]:
    """The figures of the development half, of the held-out half, and of both together."""
    cases = suites()
    levels = [judge(case) for case in cases]
    parts = {half: [i for i, c in enumerate(cases) if c.half == half] for half in HALVES}
    parts["all"] = list(range(len(cases)))
    return {name: tally([cases[i] for i in rows], [levels[i] for i in rows]) for name, rows in parts.items()}


def confusion(cases: Iterable[Case], judge: Callable[[Case], int] = level_of) -> list[list[int]]:
    """[level of the label][level given] over messages of danger and harmless ones (label 0)."""
    table = [[0] * 5 for _ in range(5)]
    for case in cases:
        table[case.level][judge(case)] += 1
    return table


def first_run() -> dict[str, Any]:
    """The figures before a single rule was changed in the light of the suites, as they were written down then."""
    body: dict[str, Any] = json.loads(_text("first_run.json"))
    return body | {"halves": {half: {n: Count(*c) for n, c in found.items()} for half, found in body["halves"].items()}}


def _named(case: Case, level: int) -> list[tuple[str, bool]]:
    found = level >= FOUND
    if case.kind == "benign":
        return [("benign.all", found), (f"benign.form.{case.form}", found)]
    if case.kind == "twin":
        return [("slow.false_alarm", found)]
    if case.kind == "slow":
        return [("slow.found", found)]
    names = [("found.all", found), (f"found.class.{case.group}", found), (f"found.form.{case.form}", found)]
    return [*names, ("level3.recall", level >= 3) if case.level >= 3 else ("level2.recall", found)]


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _text(f"crisis_{name}.jsonl").splitlines()]


def _text(name: str) -> str:
    return (files("pe_ray.evaluate") / "suites" / name).read_text(encoding="utf-8")
