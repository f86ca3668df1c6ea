"""What is known of disorders as numbers, and which techniques exist: what statements can be held against.

    facts().disorder("gad").lasts == (182.5,)         # days

The numbers come from `disorders.toml` and from criteria that the user supplies; techniques from the concepts that come
with pe_ray and from `methods.toml`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from pe_ray.corpus.knowledge import criteria
from pe_ray.corpus.knowledge.criteria_set import CriteriaSet, Criterion
from pe_ray.corpus.knowledge.criteria_words import NUMBERS
from pe_ray.corpus.knowledge.entry import Problem, fold
from pe_ray.errors import ConfigError

DAYS = {"minute": 1 / 1440, "hour": 1 / 24, "day": 1, "night": 1, "week": 7, "month": 365 / 12, "year": 365}
SAMPLE = ("samples", "psychology", "concepts.jsonl")


@dataclass(frozen=True)
class Disorder:
    """Numbers that may be said of a disorder; an empty tuple says nothing, so that no number is wrong."""

    id: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, int], ...] = ()
    lasts: tuple[float, ...] = ()
    """Days."""
    often: tuple[tuple[int, str], ...] = ()
    """Times (nights, hours) to a day, week or month."""
    ages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Discredited:
    """A technique that does harm, or was given up."""

    id: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Facts:
    """All of it. `named` finds a disorder; the group that matched is its place in `disorders`."""

    disorders: tuple[Disorder, ...]
    discredited: tuple[Discredited, ...]
    known: frozenset[str] = field(repr=False)
    """Words of the names of techniques that exist."""
    ordinary: frozenset[str] = field(repr=False)
    named: re.Pattern[str] = field(repr=False)

    def disorder(self, text: str) -> Disorder | None:
        """The first disorder that a text in small letters names."""
        return next((d for d, _ in self.disorders_in(text)), None)

    def disorders_in(self, text: str) -> Iterator[tuple[Disorder, re.Match[str]]]:
        """Every disorder that a text in small letters names, in order."""
        for match in self.named.finditer(text):
            yield self.disorders[int(str(match.lastgroup)[1:])], match


@lru_cache(maxsize=4)
def facts(supplied: str | None = None) -> Facts:
    """The bundled facts; what a file of criteria (or a folder of them) says of a disorder stands in their place.

    Raises ConfigError for criteria that cannot be read.
    """
    own = [_disorder(row) for row in tomllib.loads(_text("disorders.toml"))["disorder"]]
    disorders = _merged(own, [_of_criteria(c) for c in _supplied(Path(supplied))] if supplied else [])
    methods = tomllib.loads(_text("methods.toml"))
    bad = [Discredited(row["id"], _any(row["names"])) for row in methods["discredited"]]
    known = frozenset(methods["known"].split()) | frozenset(_words_of_store())
    return Facts(disorders, tuple(bad), known, frozenset(methods["ordinary"].split()), _named(disorders))


def days(amount: float, unit: str) -> float:
    """A span of time in days."""
    return amount * DAYS[unit.removesuffix("s")]


def _merged(own: Sequence[Disorder], theirs: Sequence[Disorder]) -> tuple[Disorder, ...]:
    """Theirs with all names that ours goes by, and ours for the rest."""
    merged, replaced = [], set()
    for given in theirs:
        ours = [d for d in own if any(re.fullmatch(name, fold(given.id)) for name in d.names)]
        replaced |= {d.id for d in ours}
        merged.append(replace(given, names=(*given.names, *(n for d in ours for n in d.names))))
    return (*merged, *(d for d in own if d.id not in replaced))


def _named(disorders: tuple[Disorder, ...]) -> re.Pattern[str]:
    """The longer names first, so that "obsessive-compulsive personality disorder" is not the shorter one."""
    order = sorted(range(len(disorders)), key=lambda i: -max(len(n) for n in disorders[i].names))
    parts = (f"(?P<d{i}>{'|'.join(sorted(disorders[i].names, key=len, reverse=True))})" for i in order)
    return re.compile(r"(?<![\w-])(?:" + "|".join(parts) + r")(?![\w-])")


def _disorder(row: Mapping[str, Any]) -> Disorder:
    return Disorder(
        row["id"],
        tuple(row["names"]),
        tuple(_pair(c, " of ") for c in row.get("counts", ())),
        tuple(days(int(n), unit) for n, unit in (text.split(" ") for text in row.get("lasts", ()))),
        tuple((int(n), unit) for n, unit in (text.split(" a ") for text in row.get("often", ()))),
        tuple(row.get("ages", ())),
    )


def _pair(text: str, between: str) -> tuple[int, int]:
    first, last = text.split(between)
    return int(first), int(last)


def _supplied(path: Path) -> Iterator[CriteriaSet]:
    try:
        files = sorted(path.glob("**/*.criteria.txt")) if path.is_dir() else [path]
        texts = [(f, f.read_text(encoding="utf-8")) for f in files]
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"corpus.criteria={path}: cannot be read; a .criteria.txt file or a folder is wanted"
        ) from None
    if not texts:
        raise ConfigError(f"corpus.criteria={path}: holds no .criteria.txt file")
    for file, text in texts:
        for found in criteria.parse(text):
            if isinstance(found, Problem):
                raise ConfigError(f"corpus.criteria={file.name}: line {found.line}: {found.field} {found.reason}")
            yield found[1]


def _of_criteria(found: CriteriaSet) -> Disorder:
    parts = list(_all(found.criteria))
    return Disorder(
        found.name,
        (re.escape(fold(found.name)),),
        tuple((c.needed, len(c.of)) for c in parts if c.needed is not None and c.of),
        tuple(days(c.duration.amount, c.duration.unit) for c in parts if c.duration),
    )


def _all(criteria_: Iterable[Criterion]) -> Iterator[Criterion]:
    for criterion in criteria_:
        yield criterion
        yield from _all(criterion.of)


def _words_of_store() -> Iterator[str]:
    lines = resources.files("pe_ray.corpus").joinpath(*SAMPLE).read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        yield from re.findall(r"[a-z][a-z'-]*", fold(row["name"]))


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)")


def _text(name: str) -> str:
    return (resources.files("pe_ray.corpus.knowledge") / name).read_text(encoding="utf-8")


MORE_NUMBERS = {"a": 1, "an": 1, "once": 1, "single": 1, "twice": 2, "half a": 0.5, "thirteen": 13, "fourteen": 14}
MORE_NUMBERS |= {
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
}
NUMBER = rf"(?:half an?|{'|'.join((*NUMBERS, *MORE_NUMBERS))}|\d{{1,3}})"


def number(word: str) -> float:
    """What a word that `NUMBER` found stands for."""
    folded = " ".join(word.split()).replace("half an", "half a")
    if folded in MORE_NUMBERS:
        return MORE_NUMBERS[folded]
    return NUMBERS.index(folded) + 1 if folded in NUMBERS else int(folded)
