"""What is known about names: Faker's lists as a gazetteer, and the words that make a name of one or speak against it.

Faker is imported when the first text asks (under half a second), and never fetches anything. Lookups are made in lower
case with a straight apostrophe.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

LOCALES = ("en_US", "en_GB")


@dataclass(frozen=True)
class Lexicon:
    """Sets of folded names; `gate` alone holds them as they are written, to look for in a text."""

    given: frozenset[str] = field(repr=False)
    family: frozenset[str] = field(repr=False)
    female: frozenset[str] = field(repr=False)
    male: frozenset[str] = field(repr=False)
    word: frozenset[str] = field(repr=False)
    """Names that are ordinary words."""
    proper: frozenset[str] = field(repr=False)
    """Names that carry a capital for another reason."""
    identity: frozenset[str] = field(repr=False)
    """Not a name after "I'm"."""
    no_family_name: frozenset[str] = field(repr=False)
    """Family names that make a place or a thing of the word before: Hope House."""
    helper_verbs: frozenset[str] = field(repr=False)
    not_names: frozenset[str] = field(repr=False)
    titles: frozenset[str] = field(repr=False)
    theorists: frozenset[str] = field(repr=False)
    """Family names that stand for a theory or a test."""
    theorists_in_full: frozenset[str] = field(repr=False)
    common: frozenset[str] = field(repr=False)
    """What is no part of a name, as it is written at the start of a sentence."""
    gate: frozenset[str] = field(repr=False)
    """A text without any of these, or a cue, holds no name that can be found."""

    def is_plain(self, folded: str) -> bool:
        """Whether the word is nothing but a name."""
        return folded not in self.word and folded not in self.proper


def fold(word: str) -> str:
    """The form in which names are compared."""
    return word.casefold().replace("’", "'")


@cache
def data(name: str) -> dict[str, Any]:
    """One of the TOML files of this package."""
    return tomllib.loads((files("pe_ray.safety.pii") / "data" / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def lexicon() -> Lexicon:
    """The lexicon; loaded once in a process."""
    lists = {k: frozenset(map(fold, v)) for k, v in data("names").items()}
    providers = [import_module(f"faker.providers.person.{locale}").Provider for locale in LOCALES]
    given_as_written = {n for p in providers for n in p.first_names} | set(data("names")["given_extra"])
    family_as_written = {n for p in providers for n in p.last_names} | set(data("names")["family_extra"])
    titles = data("names")["titles"]
    given, family = frozenset(map(fold, given_as_written)), frozenset(map(fold, family_as_written))
    return Lexicon(
        given=given,
        family=family,
        female=frozenset(fold(n) for p in providers for n in p.first_names_female),
        male=frozenset(fold(n) for p in providers for n in p.first_names_male),
        word=lists["word"],
        proper=lists["proper"],
        identity=lists["identity"],
        no_family_name=lists["no_family_name"],
        helper_verbs=lists["helper_verbs"],
        not_names=lists["not_names"] - given - family - lists["titles"],
        titles=lists["titles"],
        theorists=lists["theorists_surnames"],
        theorists_in_full=lists["theorists"],
        common=frozenset(data("names")["not_names"]) - family_as_written - given_as_written - set(titles),
        gate=_as_written(
            given_as_written | {n for n in family_as_written if fold(n) not in lists["word"] | lists["proper"]}
        )
        | {form for t in titles for form in (t, t.upper())},
    )


def _as_written(names: set[str]) -> frozenset[str]:
    """The capitalised runs of letters in names, in the ways they are written: Brien, BRIEN; McKay, Mckay, MCKAY."""
    forms = set()
    for name in names:
        for part in name.replace("’", "'").replace("-", "'").split("'"):
            if len(part) > 1:
                forms |= {part, part.upper()}
                if part.startswith("Mc"):
                    forms.add("Mc" + part[2:].capitalize())
                if part.startswith("Mac"):
                    forms.add("Mac" + part[3:].capitalize())
    return frozenset(forms)
