"""Which scenarios there will be, before a word of them is written: the list follows from the settings alone.

A scenario has a number of specifications to try; no two scenarios share one. Its id is a digest of the first, so that
an interrupted run and its resumption speak of the same scenarios.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from random import Random
from typing import Any, Literal

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate.personas import Card
from pe_ray.corpus.row import Fault, one_of
from pe_ray.corpus.sources.edge_case import CATEGORIES
from pe_ray.errors import ConfigError
from pe_ray.record import digest

Kind = Literal["edge-cases", "personas"]
MEETINGS = (
    "the first session",
    "the third session",
    "the sixth session",
    "a session after a long break",
    "the last one",
)
ENTRIES = (
    "begins with something that happened this week",
    "begins with a dream or a memory",
    "comes late and explains why",
    "says that there is nothing to talk about today",
    "asks the therapist a question first",
    "returns to a sentence of the last session",
)
"""How a persona dialogue may open; with the pair and the meeting, what makes it another one."""


@dataclass(frozen=True)
class Specification:
    """What is asked for: plain data, from which the prompt is made."""

    kind: Kind
    data: Mapping[str, Any]

    @cached_property
    def id(self) -> str:
        """A digest of all of it."""
        return digest(self.kind, json.dumps(self.data, sort_keys=True, ensure_ascii=False))


@dataclass(frozen=True)
class Scenario:
    """One place in the list, and the specifications that may fill it, in the order in which they are tried."""

    number: int
    specifications: tuple[Specification, ...]

    @property
    def id(self) -> str:
        """That of its first specification."""
        return self.specifications[0].id


def edge_cases(config: GenerateConfig) -> list[Scenario]:
    """Scenarios spread evenly over category and difficulty; raises ConfigError for a category that does not exist."""
    cells = [(c, d) for c in _categories(config.categories) for d in config.difficulties]
    counts = [config.edge_cases // len(cells) + (i < config.edge_cases % len(cells)) for i in range(len(cells))]
    cells_of = [
        _cell(category, difficulty, count, config)
        for (category, difficulty), count in zip(cells, counts, strict=True)
        if count
    ]
    return _in_turn(cells_of)


def dialogues(config: GenerateConfig, cards: Sequence[Card]) -> list[Scenario]:
    """Dialogues of a client and a therapist of the store, spread evenly over the clients."""
    clients = [c for c in cards if c.role == "client"]
    therapists = [c for c in cards if c.role == "therapist"]
    random = Random(f"{config.seed}/clients")
    random.shuffle(clients)
    counts = [config.dialogues // len(clients) + (i < config.dialogues % len(clients)) for i in range(len(clients))]
    return _in_turn(
        [_encounters(client, therapists, count, config) for client, count in zip(clients, counts, strict=True) if count]
    )


def _cell(category: str, difficulty: str, count: int, config: GenerateConfig) -> list[tuple[Specification, ...]]:
    axes = _axes(category)
    drawn = _draw(axes, count, config, f"{category}/{difficulty}", "edge_cases")
    return [
        tuple(Specification("edge-cases", {"category": category, "difficulty": difficulty, **one}) for one in some)
        for some in drawn
    ]


def _encounters(
    client: Card, therapists: Sequence[Card], count: int, config: GenerateConfig
) -> list[tuple[Specification, ...]]:
    axes = {
        "therapist": [t.id for t in therapists if t.name != client.name],
        "meeting": list(MEETINGS),
        "entry": list(ENTRIES),
    }
    if not axes["therapist"]:
        raise ConfigError(f"generate.personas: no therapist has another name than client {client.id}")
    drawn = _draw(axes, count, config, client.id, "dialogues")
    return [
        tuple(Specification("personas", {"client": client.id, "turns": config.turns, **one}) for one in some)
        for some in drawn
    ]


def _draw(
    axes: Mapping[str, Sequence[str]], count: int, config: GenerateConfig, salt: str, setting: str
) -> list[list[dict[str, str]]]:
    """`count` lists of `config.variations` combinations, none of them twice, chosen by the seed."""
    size = 1
    for values in axes.values():
        size *= len(values)
    each = config.variations
    if count * each > size:
        raise ConfigError(
            f"generate.{setting}={getattr(config, setting)} asks for {count} x {each} variations of {salt}, and there "
            f"are {size}; ask for fewer, or set generate.variations=1"
        )
    numbers = Random(f"{config.seed}/{salt}").sample(range(size), count * each)
    chosen = [_combination(axes, n) for n in numbers]
    return [chosen[i * each : (i + 1) * each] for i in range(count)]


def _combination(axes: Mapping[str, Sequence[str]], number: int) -> dict[str, str]:
    chosen = {}
    for name, values in axes.items():
        number, at = divmod(number, len(values))
        chosen[name] = values[at]
    return chosen


def _in_turn(groups: Sequence[Sequence[tuple[Specification, ...]]]) -> list[Scenario]:
    """One of each group, then the next of each: whatever is stopped early is spread evenly too."""
    longest = max((len(g) for g in groups), default=0)
    ordered = [g[i] for i in range(longest) for g in groups if i < len(g)]
    return [Scenario(number, specifications) for number, specifications in enumerate(ordered)]


def _categories(names: Sequence[str]) -> Iterator[str]:
    problems = []
    for name in names:
        try:
            one_of("categories", name, tuple(CATEGORIES))
        except Fault as fault:
            problems.append(f"generate.categories: {fault.reason}")
    if len(set(names)) != len(names):
        problems.append(f"generate.categories={list(names)} names a category twice")
    if problems:
        raise ConfigError(*problems)
    return iter(names or CATEGORIES)


def _axes(category: str) -> dict[str, list[str]]:
    data = variations()
    own = data["category"][category]
    ages = [data["ages"][a] for a in own.get("ages", data["ages"])]
    return {"presentation": own["presentations"], "age": ages, **data["axes"]}


@cache
def variations() -> dict[str, Any]:
    """What `data/variations.toml` says."""
    return tomllib.loads(_variations_text())


def variations_digest() -> str:
    """Changes when a word of that file does."""
    return digest(_variations_text())


def _variations_text() -> str:
    return (resources.files(__package__) / "data" / "variations.toml").read_text("utf-8")
