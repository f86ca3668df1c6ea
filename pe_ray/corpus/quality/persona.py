"""Does each persona say what its card allows? A row check of dual-persona dialogues; other records get no verdict.

A card states claims ("I have no children"), an age and perhaps a name; what the persona says of themselves states some
too ("my daughter"). `persona.toml` lists which claims cannot both be true. It finds plain contradictions between
sentences in the first person and no others: a persona that only acts out of character passes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from pe_ray.record import Record, Verdict

NAME = "persona"
DEFAULT_MIN = 0.5
"""One contradiction is enough to fail."""
LEFT_BY_ONE = 0.4
"""What each contradiction leaves of the score."""
AGE_SLACK = 1
"""A birthday may lie between a card and a sentence."""
SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
AGE = re.compile(
    r"\bi(?:'m| am)(?: only| just)?(?: an?)? (?:(\d{1,3})[- ]?years?[- ]old\b|(\d{1,3})(?=\s*[.!]|\s*$))"
    r"|\bi (?:just )?turned (\d{1,3})\b",
    re.IGNORECASE,
)
NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
COUNT = re.compile(
    rf"\bi(?:'ve got| have)(?: got)? ({'|'.join(NUMBERS)}|\d+) "
    r"(children|kids|sons|daughters|dogs|cats|brothers|sisters)\b",
    re.IGNORECASE,
)
OWN_NAME = re.compile(r"\bmy name(?:'s| is) ([a-z][a-z'-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """What a sentence says of the person who says it."""

    name: str
    said: Sequence[re.Pattern[str]]
    card: Sequence[re.Pattern[str]]


@dataclass(frozen=True)
class Rules:
    """The table of claims, what cannot go together, and sentences that claim nothing."""

    claims: Mapping[str, Claim]
    against: Mapping[str, frozenset[str]]
    unless: re.Pattern[str]


@dataclass(frozen=True)
class Card:
    """What is fixed about one persona: claims, age, first name, and how many children or dogs there are."""

    claims: frozenset[str]
    age: int | None
    name: str | None
    counts: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.claims or self.age or self.name or self.counts)


@dataclass(frozen=True)
class Contradiction:
    """Which rule was broken, and where: message number from 1, characters [start, stop) in it."""

    rule: str
    message: int
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.rule} (message {self.message}, {self.start}-{self.stop})"


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict | None:
    """Consistency in 0..1 of both personas with their cards; None if no card states what a rule knows."""
    if record.content_type != "dual_persona" or "personas" not in record.metadata:
        return None
    cards = {card["name"]: read_card(card) for card in json.loads(record.metadata["personas"])}
    by_role = {role: cards.get(record.metadata.get(role, "")) for role in ("user", "assistant")}
    if not any(by_role.values()):
        return None
    found = [
        c
        for number, message in enumerate(record.messages, start=1)
        if (card := by_role.get(message.role))
        for c in contradictions(card, message.text, number)
    ]
    rules = list(dict.fromkeys(c.rule for c in found))
    score = round(LEFT_BY_ONE ** len(rules), 4)
    return Verdict(NAME, score, score >= minimum, "; ".join(map(str, found)) or "no contradiction with the cards")


def read_card(card: Mapping[str, Any]) -> Card:
    """What a persona card states: in its statements (first person), its background (third) and its fields."""
    statements = [str(s) for s in card.get("statements", ())]
    first = "\n".join(statements)
    third = " ".join(str(card.get(name, "")) for name in ("background", "role"))
    stated = [*map(_stated, statements), _stated(third, by_others=True)]
    ages = [_age(match) for match in AGE.finditer(_plain(first))]
    own_name = OWN_NAME.search(_plain(first))
    given = card.get("name", "") if "statements" not in card else ""
    return Card(
        frozenset().union(*stated),
        card["age"] if isinstance(card.get("age"), int) else next(iter(ages), None),
        (own_name[1] if own_name else given.split(" ")[0]).casefold() or None,
        dict(map(_count, COUNT.finditer(_plain(first)))),
    )


def contradictions(card: Card, text: str, message: int = 1) -> Iterator[Contradiction]:
    """Where a text that the persona says cannot be true of it."""
    plain, table = _plain(text), rules()
    if not _worth_reading(card.claims).search(plain):
        return
    for sentence in SENTENCE.finditer(plain):
        if sentence[0].endswith("?") or table.unless.search(sentence[0]):
            continue
        at = sentence.start()
        for rule, start, stop in (*_claims_against(card, sentence[0]), *_facts_against(card, sentence[0])):
            yield Contradiction(rule, message, at + start, at + stop)


@cache
def rules() -> Rules:
    """The rules of persona.toml."""
    table = tomllib.loads((resources.files("pe_ray.corpus.quality") / "persona.toml").read_text(encoding="utf-8"))
    claims = {
        name: Claim(name, _compiled(row.get("said", [])), _compiled(row.get("card", [])))
        for name, row in table["claim"].items()
    }
    against: dict[str, set[str]] = {}
    for one, other in table["contradictions"]:
        assert {one, other} <= claims.keys(), f"persona.toml: {one}, {other} is no pair of claims"
        against.setdefault(one, set()).add(other)
        against.setdefault(other, set()).add(one)
    frozen = {name: frozenset(names) for name, names in against.items()}
    return Rules(claims, frozen, re.compile(table["unless"], re.IGNORECASE))


@lru_cache(maxsize=1 << 14)
def _stated(text: str, by_others: bool = False) -> frozenset[str]:
    """The claims of a sentence on a card; cards are used again and again, so their sentences are remembered."""
    patterns = ((c.name, (*c.card, *c.said) if by_others else c.said) for c in rules().claims.values())
    return frozenset(name for name, ps in patterns if _first(ps, text))


@lru_cache(maxsize=1 << 14)
def _worth_reading(stated: frozenset[str]) -> re.Pattern[str]:
    """One pattern for all that could break a rule: most turns hold nothing of it, and are told so in one pass."""
    others = {other for name in stated for other in rules().against.get(name, ())}
    said = [p.pattern for other in sorted(others) for p in rules().claims[other].said]
    return re.compile("|".join([*said, AGE.pattern, COUNT.pattern, OWN_NAME.pattern]), re.IGNORECASE)


def _claims_against(card: Card, sentence: str) -> Iterator[tuple[str, int, int]]:
    table = rules()
    for stated in sorted(card.claims):
        for other in sorted(table.against.get(stated, ())):
            if other not in card.claims and (match := _first(table.claims[other].said, sentence)):
                yield f"{other} against {stated}", *match.span()


def _facts_against(card: Card, sentence: str) -> Iterator[tuple[str, int, int]]:
    if card.age is not None:
        for match in AGE.finditer(sentence):
            if abs(_age(match) - card.age) > AGE_SLACK:
                yield "another age", *match.span()
    named = OWN_NAME.search(sentence)
    if card.name and named and named[1].casefold() != card.name:
        yield "another name", *named.span()
    for match in COUNT.finditer(sentence):
        noun, number = _count(match)
        if card.counts.get(noun, number) != number:
            yield f"another number of {noun}", *match.span()


def _first(patterns: Sequence[re.Pattern[str]], text: str) -> re.Match[str] | None:
    return next((match for p in patterns if (match := p.search(_plain(text)))), None)


def _age(match: re.Match[str]) -> int:
    return int(next(group for group in match.groups() if group))


def _count(match: re.Match[str]) -> tuple[str, int]:
    number, noun = match[1].casefold(), match[2].casefold()
    return "children" if noun == "kids" else noun, NUMBERS.get(number) or int(number)


def _compiled(patterns: Sequence[str]) -> list[re.Pattern[str]]:
    return [re.compile(p, re.IGNORECASE) for p in patterns]


def _plain(text: str) -> str:
    return text.replace("’", "'")
