"""What a diagnosis requires, as a noun: criteria with their symptoms, how many are needed, for how long, specifiers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Bound = Literal["at_least", "more_than", "within"]


@dataclass(frozen=True)
class Duration:
    """How long, or within which time: (at_least, 6, month), (within, 2, week)."""

    bound: Bound
    amount: int
    unit: str


@dataclass(frozen=True)
class Criterion:
    """One criterion, or a symptom below one. `needed` of `of` have to be present; None: the text names no number.

    Of these, `core_needed` have to be among the ones labelled `core` ("at least one is (1) or (2)").
    """

    label: str
    text: str
    needed: int | None = None
    of: tuple[Criterion, ...] = ()
    duration: Duration | None = None
    core: tuple[str, ...] = ()
    core_needed: int = 0
    alternatives: bool = False
    """One of the groups below is enough ("1 and/or 2")."""

    @property
    def least(self) -> int:
        """The fewest symptoms that meet it; 0 where nothing is counted."""
        if self.needed is not None:
            return self.needed
        counted = [c.least for c in self.of if c.least]
        if not counted:
            return 0
        return min(counted) if self.alternatives else sum(counted)


@dataclass(frozen=True)
class Option:
    """One value of a specifier: its name, its code where it has one, what it means."""

    name: str
    text: str = ""
    code: str = ""


@dataclass(frozen=True)
class Specifier:
    """What is to be specified: `of` is "if", "whether", "current severity"."""

    of: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class CriteriaSet:
    """The criteria of one disorder. `exclusions` are the texts of the criteria that rule something else out."""

    name: str
    code: str
    criteria: tuple[Criterion, ...]
    specifiers: tuple[Specifier, ...] = ()
    exclusions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    description: str = ""

    @property
    def min_total(self) -> int | None:
        """The fewest symptoms over all criteria; None where none are counted."""
        return sum(c.least for c in self.criteria) or None

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> CriteriaSet:
        """Raises ValueError if the text is not what `to_json` writes."""
        try:
            data = json.loads(text)
            return cls(
                **data
                | {
                    "criteria": tuple(_criterion(c) for c in data["criteria"]),
                    "specifiers": tuple(_specifier(s) for s in data["specifiers"]),
                    "exclusions": tuple(data["exclusions"]),
                    "notes": tuple(data["notes"]),
                }
            )
        except (TypeError, KeyError, AttributeError, json.JSONDecodeError):
            raise ValueError("criteria is no criteria set; the JSON of CriteriaSet.to_json is wanted") from None

    def summary(self) -> str:
        """The set in one line, for the concept store."""
        letters = [c.label for c in self.criteria]
        span = letters[0] if len(letters) == 1 else f"{letters[0]} to {letters[-1]}"
        counts = [f"{c.label} needs {_needs(c)}" for c in self.criteria if _needs(c)]
        return "; ".join([f"{'criterion' if len(letters) == 1 else 'criteria'} {span}", *counts])

    def render(self) -> str:
        """The set as it is explained to somebody: every criterion, how many symptoms, specifiers, what it excludes."""
        title = f"{self.name} ({self.code})" if self.code else self.name
        parts = [title, self.description, "\n".join(line for c in self.criteria for line in _lines(c, 0))]
        for specifier in self.specifiers:
            options = (f"- {o.name}: {o.text}" if o.text else f"- {o.name}" for o in specifier.options)
            parts.append("\n".join([f"To be specified ({specifier.of or 'if it applies'}):", *options]))
        if self.exclusions:
            parts.append("\n".join(["What it is told apart from:", *(f"- {text}" for text in self.exclusions)]))
        if self.notes:
            parts.append("\n".join(f"Note: {note}" for note in self.notes))
        return "\n\n".join(part for part in parts if part)


def _lines(criterion: Criterion, depth: int) -> Iterator[str]:
    needs = f" [{_needs(criterion)}]" if _needs(criterion) else ""
    yield f"{'  ' * depth}{criterion.label}. {criterion.text}{needs}"
    for part in criterion.of:
        yield from _lines(part, depth + 1)


def _needs(criterion: Criterion) -> str:
    told = [f"at least {criterion.needed} of {len(criterion.of)}"] if criterion.needed is not None else []
    if criterion.core:
        told.append(f"of which {criterion.core_needed} among {', '.join(criterion.core)}")
    if criterion.duration:
        bound = criterion.duration.bound.replace("_", " ")
        plural = "" if criterion.duration.amount == 1 else "s"
        told.append(f"{bound} {criterion.duration.amount} {criterion.duration.unit}{plural}")
    return ", ".join(told)


def _criterion(data: Mapping[str, Any]) -> Criterion:
    made: dict[str, Any] = {
        "of": tuple(_criterion(c) for c in data["of"]),
        "duration": Duration(**data["duration"]) if data["duration"] else None,
        "core": tuple(data["core"]),
    }
    return Criterion(**dict(data) | made)


def _specifier(data: Mapping[str, Any]) -> Specifier:
    return Specifier(data["of"], tuple(Option(**o) for o in data["options"]))
