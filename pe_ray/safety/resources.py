"""Whom a person can call, by country and by what they are in danger of.

    resources("US", ("partner_violence",))  ->  the hotline for it, then emergency services

An unknown country gets wording without a number: a wrong country's number could cost a life.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from pe_ray.safety.rules import read

BODY_FIRST = ("medical_emergency", "overdose_withdrawal")
"""Classes in which an ambulance comes before a conversation."""


@dataclass(frozen=True)
class Resource:
    """One line; `contact` reads after "please", `locale` is its country or empty for wording that fits anywhere."""

    name: str
    contact: str
    locale: str
    source: str
    kinds: tuple[str, ...] = ()
    verified_on: date | None = None


def resources(locale: str, classes: Sequence[str] = (), *, level: int = 0) -> tuple[Resource, ...]:
    """Lines for a country and the classes of an assessment, at most three, the most fitting first.

    `locale` is a country code or a language tag that ends in one ("en-GB"). At level 4, and where a body is in danger,
    emergency services come first.
    """
    lines, unknown = _table()
    country = country_of(locale)
    here = [r for r in lines if r.locale == country]
    if not here:
        here = list(unknown)
    emergency = [r for r in here if "emergency" in r.kinds]
    special = [r for c in classes for r in here if c in r.kinds]
    chosen = special or [r for r in here if "crisis" in r.kinds]
    urgent = level >= 4 or any(c in BODY_FIRST for c in classes[:1])
    ordered = [*emergency, *chosen] if urgent else [*chosen, *emergency]
    if urgent or special:  # somebody to talk to belongs in every list
        ordered += [r for r in here if "crisis" in r.kinds]
    return tuple(dict.fromkeys(ordered))[:3]


def country_of(locale: str) -> str:
    """ "US" of "en-US", "us" or "US"; empty where the tag names no country."""
    *language, last = locale.strip().replace("_", "-").split("-")
    named = len(last) == 2 and last.isascii() and last.isalpha()
    return last.upper() if named and (language or last.isupper()) else ""


def stale(today: date, days: int = 90) -> list[str]:
    """Lines that nobody has compared with a public page for so many days, as "US: name"."""
    return [
        f"{r.locale}: {r.name}" for r in _table()[0] if r.verified_on is None or (today - r.verified_on).days > days
    ]


@cache
def _table() -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    data = tomllib.loads(read("resources"))
    lines = tuple(
        Resource(r["name"], r["contact"], r["country"], r["source"], tuple(r["kinds"]), r["verified_on"])
        for r in data["line"]
    )
    words = data["unknown"]
    unknown = (
        Resource("A crisis line near you", f"contact {words['crisis']}", "", words["source"], ("crisis",)),
        Resource("Emergency services", f"call {words['emergency']}", "", words["source"], ("emergency",)),
    )
    return lines, unknown
