"""Rules as data: what a TOML file under `safety/data/` says, as objects that can be matched.

    [[rule]]
    id = "suicide.intent"
    level = 3
    needs = ["kill", "end my"]              # cheap substrings; without one of them the patterns are not tried
    patterns = ["kill(?:ing)? my ?self"]    # over normalised text; {NAME} is a macro of the file

What a context does to a match is data too: the level that it falls to when it is negated, past, said of another person,
fiction, or said of nobody (`bare`). `KEEP` leaves the level.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from pe_ray.safety.gate import Gate, Patterns

KEEP = 9
TRIAGE_FILES = (
    "suicide_self_harm",
    "harm_to_others",
    "child_abuse",
    "elder_abuse",
    "partner_violence",
    "psychosis_mania",
    "eating_disorder_medical",
    "overdose_withdrawal",
    "medical_emergency",
)
"""The classes of triage, each a file of rules; the order is that of the reply when several are as grave."""


@dataclass(frozen=True)
class Rule:
    """One thing that a text can show. A level of 0 leaves only its signals, for combinations."""

    id: str
    group: str
    level: int
    patterns: tuple[str, ...] = field(repr=False)
    needs: tuple[str, ...] = ()
    version: int = 1
    signals: tuple[str, ...] = ()
    negated: int = 0
    past: int = 1
    other: int = 1
    fiction: int = 0
    bare: int = KEEP
    asked: int = KEEP
    weight: float = 0.0
    """Share of a score that a hit costs: of the bias score, of appropriateness."""
    means: str = ""
    """The rule in plain words, for whoever edits it."""
    source: str = ""
    """Where the rule comes from."""

    @property
    def name(self) -> str:
        """`id@version`, as it stands in a reply and in the journal."""
        return f"{self.id}@{self.version}"

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Compiled at the first text that needs it, so that loading stays quick."""
        return re.compile("|".join(rf"\b(?:{p})(?!\w)" for p in self.patterns))


@dataclass(frozen=True)
class Combination:
    """Signals that together say more than each: `all` must be present, from as many different rules.

    `near` asks for adjacent sentences of one message; otherwise the last turns of the conversation count.
    """

    id: str
    group: str
    level: int
    all: tuple[str, ...]
    near: bool = False
    version: int = 1

    @property
    def name(self) -> str:
        """`id@version`."""
        return f"{self.id}@{self.version}"


@dataclass(frozen=True)
class RuleSet:
    """The rules of some files, the combinations of their signals, and the version of it all."""

    rules: tuple[Rule, ...]
    combinations: tuple[Combination, ...]
    version: str
    """12 hex digits over the files; part of every cache key."""

    @cached_property
    def gate(self) -> Gate:
        """What the rules cannot do without, read from their patterns at the first text."""
        return Gate.of((r.patterns, r.needs) for r in self.rules)

    def candidates(self, text: str, among: Patterns | None = None) -> list[Rule]:
        """Rules that may match: one of the substrings that they need is there, and their patterns' words are.

        `among`: the patterns to which the gate has narrowed a text that holds this one.
        """
        return self.needed(text, self.gate.possible(text, among))

    def needed(self, text: str, numbers: Sequence[int]) -> list[Rule]:
        """Those of the rules with these numbers of which a substring that they need is in the text."""
        return [r for r in map(self.rules.__getitem__, numbers) if any(map(text.__contains__, r.needs))]


@cache
def load(*names: str) -> RuleSet:
    """The rules of `safety/data/<name>.toml`, in the order of the names.

    Raises ValueError for a file that does not say what a rule needs (a programming error: the files are ours).
    """
    rules: list[Rule] = []
    combinations: list[Combination] = []
    seal = hashlib.sha256(read("words").encode())  # they say what a match is worth
    for name in names:
        raw = read(name)
        seal.update(raw.encode())
        data = tomllib.loads(raw)
        macros, defaults = data.get("macros", {}), data.get("default", {})
        rules += [_rule(name, {**defaults, **row}, macros) for row in data.get("rule", [])]
        combinations += [_combination(name, row) for row in data.get("combine", [])]
    ids = [r.id for r in rules] + [c.id for c in combinations]
    if len(set(ids)) != len(ids):
        raise ValueError(f"rule id {next(i for i in ids if ids.count(i) > 1)!r} stands twice")
    return RuleSet(tuple(rules), tuple(combinations), seal.hexdigest()[:12])


def read(name: str) -> str:
    """The text of one data file of this package."""
    return (files("pe_ray.safety") / "data" / f"{name}.toml").read_text(encoding="utf-8")


@cache
def words() -> dict[str, Any]:
    """The word lists of `data/words.toml`, for normalising and for context."""
    return tomllib.loads(read("words"))


def any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """One expression that finds any of the patterns between word boundaries."""
    return re.compile("|".join(rf"\b(?:{p})(?!\w)" if p[0] != "^" else rf"{p}(?!\w)" for p in patterns))


def expand(pattern: str, macros: Mapping[str, str]) -> str:
    """A pattern with its `{NAME}` macros written out (macros may use earlier ones)."""
    while (m := re.search(r"\{([A-Z_]+)\}", pattern)) is not None:
        pattern = pattern[: m.start()] + f"(?:{macros[m.group(1)]})" + pattern[m.end() :]
    return pattern


def _rule(group: str, row: Mapping[str, Any], macros: Mapping[str, str]) -> Rule:
    unknown = set(row) - {f.name for f in fields(Rule)}
    if unknown or not row.get("needs"):
        raise ValueError(f"{group}.toml: rule {row.get('id')}: {sorted(unknown) or 'has no needs'}")
    lists: dict[str, Sequence[str]] = {k: tuple(row.get(k, ())) for k in ("needs", "signals")}
    patterns = tuple(expand(p, macros) for p in row["patterns"])
    return Rule(**{"level": 0, "group": group, **row, **lists, "patterns": patterns})


def _combination(group: str, row: Mapping[str, Any]) -> Combination:
    return Combination(**{"group": group, **row, "all": tuple(row["all"])})
