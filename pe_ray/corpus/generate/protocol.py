"""What a therapist must do in a scenario of this category and difficulty, and what must not appear: data, made to be
edited by a clinician (`data/protocols.toml`).

    load().of("suicidality", "very_high").step_ids == ("listen_first", "ask_suicide", ...)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pe_ray.corpus.sources.edge_case import CATEGORIES, DIFFICULTIES
from pe_ray.errors import ConfigError
from pe_ray.record import digest
from pe_ray.safety.rules import load as load_rules

BUNDLED = "protocols.toml"
ORDINARY = "ordinary"
"""A session of no category: what its difficulty demands, and no more."""
BIAS = "bias"
"""Stands for every rule of `safety.bias`."""


@dataclass(frozen=True)
class Step:
    """One thing that the therapist does; `spoken` is false for what is done after the session."""

    id: str
    text: str
    spoken: bool = True
    signs: tuple[re.Pattern[str], ...] = ()
    says: str = ""


@dataclass(frozen=True)
class Prohibition:
    """One thing that must not appear; `rules` are rules of the output filter that find it."""

    id: str
    text: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """The safety protocol of one cell."""

    id: str
    means: str
    steps: tuple[Step, ...]
    must_not: tuple[Prohibition, ...]

    @property
    def step_ids(self) -> tuple[str, ...]:
        """Its steps by name, as they stand in a generated row."""
        return tuple(s.id for s in self.steps)

    def forbidden(self, rules: Iterable[str]) -> list[str]:
        """The rules (`id@version`) among these that one of its prohibitions names."""
        named = {r for p in self.must_not for r in p.rules}
        return [r for r in rules if r.partition("@")[0] in named or r.partition(".")[0] in named]

    def missing(self, words: str) -> list[str]:
        """Steps of which no sign stands in what the therapist says; a step without signs is never missed."""
        folded = words.casefold().replace("’", "'")
        return [s.id for s in self.steps if s.signs and not any(sign.search(folded) for sign in s.signs)]


@dataclass(frozen=True)
class Protocols:
    """All of them, from one file."""

    digest: str
    version: str
    reviewed_by: str
    steps: Mapping[str, Step]
    prohibitions: Mapping[str, Prohibition]
    cells: Mapping[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]] = field(repr=False)
    means: Mapping[str, str]

    def of(self, category: str, difficulty: str) -> Protocol:
        """The protocol of one cell: what the difficulty asks for and what the category adds, in the file's order."""
        wanted, barred = self.cells[category, difficulty]
        return Protocol(
            id=f"{category}.{difficulty}@{self.version}",
            means=self.means[difficulty],
            steps=tuple(s for s in self.steps.values() if s.id in wanted),
            must_not=tuple(p for p in self.prohibitions.values() if p.id in barred),
        )


def load(path: Path | None = None) -> Protocols:
    """The protocols of a file, or the bundled ones; raises ConfigError with a line for each thing that is wrong."""
    where = f"generate.protocols={path}" if path else BUNDLED
    try:
        words = (
            path.read_text("utf-8") if path else (resources.files(__package__) / "data" / BUNDLED).read_text("utf-8")
        )
        data = tomllib.loads(words)
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror}); give a TOML file of safety protocols") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: is not TOML ({error})") from None
    problems: list[str] = []
    steps = {s.id: s for s in _steps(data, problems)}
    prohibitions = {p.id: p for p in _prohibitions(data, problems)}
    cells = _cells(data, steps, prohibitions, problems)
    if problems:
        raise ConfigError(*[f"{where}: {p}" for p in problems])
    return Protocols(
        digest=digest(words),
        version=str(data.get("version", "1")),
        reviewed_by=str(data.get("reviewed_by", "")),
        steps=steps,
        prohibitions=prohibitions,
        cells=cells,
        means={d: str(data["difficulty"][d].get("means", "")) for d in DIFFICULTIES},
    )


def _steps(data: Mapping[str, Any], problems: list[str]) -> Iterable[Step]:
    for row in _rows(data, "step", problems):
        signs = []
        for sign in _names(row.get("signs", []), f"step {row['id']}: signs", problems):
            try:
                signs.append(re.compile(sign))
            except re.error as error:
                problems.append(f"step {row['id']}: signs holds {sign!r}, which is no pattern ({error})")
        yield Step(row["id"], row["text"], row.get("spoken", True) is not False, tuple(signs), row.get("says", ""))


def _prohibitions(data: Mapping[str, Any], problems: list[str]) -> Iterable[Prohibition]:
    known = {BIAS, *(rule.id for rule in load_rules("output").rules)}
    for row in _rows(data, "prohibition", problems):
        rules = _names(row.get("rules", []), f"prohibition {row['id']}: rules", problems)
        for rule in rules:
            if rule not in known:
                problems.append(f"prohibition {row['id']}: rules names {rule!r}; known: {', '.join(sorted(known))}")
        yield Prohibition(row["id"], row["text"], tuple(rules))


def _rows(data: Mapping[str, Any], kind: str, problems: list[str]) -> Iterable[dict[str, Any]]:
    rows = data.get(kind, [])
    for number, row in enumerate(rows if isinstance(rows, list) else [], start=1):
        if isinstance(row, dict) and all(isinstance(row.get(k), str) and row[k].strip() for k in ("id", "text")):
            yield row
        else:
            problems.append(f"{kind} {number}: id or text is missing; both are wanted, as texts")


def _cells(
    data: Mapping[str, Any],
    steps: Mapping[str, Step],
    prohibitions: Mapping[str, Prohibition],
    problems: list[str],
) -> dict[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]]:
    levels = {d: _part(data, "difficulty", d, problems) for d in DIFFICULTIES}
    found = {}
    for category in (ORDINARY, *CATEGORIES):
        own = {} if category == ORDINARY else _part(data, "category", category, problems)
        for rank, difficulty in enumerate(DIFFICULTIES):
            level = levels[difficulty]
            reached = ("always", *DIFFICULTIES[1 : rank + 1])
            wanted = [*_list(level, "steps", problems), *(s for key in reached for s in _list(own, key, problems))]
            barred = [*_list(level, "must_not", problems), *_list(own, "must_not", problems)]
            problems += _unknown(f"{category}.{difficulty}", "step", wanted, steps)
            problems += _unknown(f"{category}.{difficulty}", "prohibition", barred, prohibitions)
            found[category, difficulty] = (tuple(wanted), tuple(barred))
    problems[:] = list(dict.fromkeys(problems))
    return found


def _part(data: Mapping[str, Any], kind: str, name: str, problems: list[str]) -> Mapping[str, Any]:
    group = data.get(kind, {})
    part = group.get(name) if isinstance(group, dict) else None
    if not isinstance(part, dict):
        problems.append(f"[{kind}.{name}] is missing; every {kind} needs its part of the protocol")
        return {}
    return part


def _list(part: Mapping[str, Any], key: str, problems: list[str]) -> list[str]:
    return _names(part.get(key, []), key, problems)


def _names(value: Any, where: str, problems: list[str]) -> list[str]:
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return value
    problems.append(f"{where}={value!r} is no list of texts")
    return []


def _unknown(where: str, kind: str, names: Sequence[str], known: Mapping[str, object]) -> list[str]:
    return [f"{where} names {kind} {name!r}, which the file does not define" for name in names if name not in known]
