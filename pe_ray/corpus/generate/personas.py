"""The store of persona cards: who may talk in a dialogue, one JSON object a line.

{"id", "name", "role": client | therapist, "age", "traits": [...], "background", "speaking_style",
 "history", "beliefs": [...], "coping": [...], "lines": [...]}

The first fields are those of the source `dual_persona`; the others are for the writer. `lines` are examples of the
voice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from pe_ray.corpus.row import Fault, label, one_of, texts
from pe_ray.errors import ConfigError
from pe_ray.record import digest

BUNDLED = "personas.jsonl"
ROLES = ("client", "therapist")
PUBLIC = ("name", "role", "age", "traits", "background", "speaking_style")
"""Fields that stand in a dialogue's row."""
MIN_AGE = 14
MAX_AGE = 110


@dataclass(frozen=True)
class Card:
    """One persona."""

    id: str
    name: str
    role: str
    age: int
    traits: tuple[str, ...]
    background: str
    speaking_style: str
    history: str
    beliefs: tuple[str, ...]
    coping: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def public(self) -> dict[str, Any]:
        """What a dialogue's row says of the persona."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if k in PUBLIC}


@dataclass(frozen=True)
class Store:
    """All cards of a file, by id."""

    digest: str
    cards: Mapping[str, Card] = field(repr=False)


def load(path: Path | None = None) -> Store:
    """The cards of a store, or the bundled ones; raises ConfigError with a line for each card that is wrong."""
    where = f"generate.personas={path}" if path else BUNDLED
    try:
        raw = path.read_bytes() if path else (resources.files(__package__) / "data" / BUNDLED).read_bytes()
        words = raw.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror}); give a JSONL file of persona cards") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    cards: dict[str, Card] = {}
    problems: list[str] = []
    for number, line in enumerate(words.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            card = _card(_object(line))
            if card.id in cards:
                raise Fault("id", f"{card.id!r} stands twice; each card needs its own")
            cards[card.id] = card
        except Fault as fault:
            problems.append(f"{where} line {number}: {fault.name} {fault.reason}")
    for role in ROLES:
        if not problems and not any(c.role == role for c in cards.values()):
            problems.append(f"{where}: holds no {role}; a dialogue needs one of each role")
    if problems:
        raise ConfigError(*problems)
    return Store(digest(words), cards)


def _card(data: dict[str, Any]) -> Card:
    age = data.get("age")
    if isinstance(age, bool) or not isinstance(age, int) or not MIN_AGE <= age <= MAX_AGE:
        raise Fault("age", f"is no whole number from {MIN_AGE} to {MAX_AGE}")
    return Card(
        id=label(data, "id"),
        name=label(data, "name"),
        role=one_of("role", label(data, "role"), ROLES),
        age=age,
        traits=tuple(texts(data, "traits")),
        background=label(data, "background"),
        speaking_style=label(data, "speaking_style"),
        history=label(data, "history"),
        beliefs=tuple(texts(data, "beliefs")),
        coping=tuple(texts(data, "coping")),
        lines=tuple(texts(data, "lines")),
    )


def _object(line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
        json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair is JSON, and no text
    except (ValueError, RecursionError):
        raise Fault("line", "is not JSON; one object a line is wanted") from None
    if not isinstance(data, dict):
        raise Fault("line", "is no JSON object")
    return data
