"""Where a helper's words reflect, explore or interpret: markers with the places where they stand.

    find("That sounds exhausting. What happened then?")
      -> reflection 0..22, exploration 24..43

Forms of sentence, from `data/empathy.toml`: a marker says that the form is there, not that it was warm, right or
welcome, and a reply without one may be kind. Nothing here is a sign of risk, and triage does not import it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pe_ray.safety.rules import expand, read

Kind = Literal["reflection", "exploration", "interpretation"]
KINDS: tuple[Kind, ...] = ("reflection", "exploration", "interpretation")
SENTENCE = re.compile(r"[^.?!\n…]+[?!.]?")
LONGEST = 600
"""Characters of a sentence that are looked at: a text without full stops is no sentence."""


@dataclass(frozen=True)
class Marker:
    """One sentence that has a form; start and end count characters of the text as it was given."""

    kind: Kind
    id: str
    start: int
    end: int


def find(text: str) -> list[Marker]:
    """Markers of a text of any kind, in order; of each kind at most one to a sentence."""
    low = _small(text)
    found = []
    for sentence in SENTENCE.finditer(low):
        start, end = sentence.start(), min(sentence.end(), sentence.start() + LONGEST)
        start += len(low[start:end]) - len(low[start:end].lstrip())
        seen: set[Kind] = set()
        words = low[start:end]
        for form in _markers():
            if form.kind not in seen and any(map(words.__contains__, form.needs)) and form.pattern.search(words):
                seen.add(form.kind)
                found.append(Marker(form.kind, form.id, start, end))
    return found


def counts(text: str) -> dict[Kind, int]:
    """How many sentences of each kind."""
    found = Counter(marker.kind for marker in find(text))
    return {kind: found[kind] for kind in KINDS}


def _small(text: str) -> str:
    """Small letters and plain apostrophes, character by character, so that places stay what they are."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c if len(c.lower()) > 1 else c.lower() for c in text)
    return low.replace("’", "'")


@dataclass(frozen=True)
class _Form:
    id: str
    kind: Kind
    needs: tuple[str, ...]
    """Without one of them in the sentence its pattern is not tried."""
    pattern: re.Pattern[str]


@cache
def _markers() -> tuple[_Form, ...]:
    told = tomllib.loads(read("empathy"))
    macros = told["macros"]
    return tuple(
        _Form(
            row["id"],
            row["kind"],
            tuple(row["needs"]),
            re.compile("|".join(rf"\b(?:{expand(p, macros)})" for p in row["patterns"])),
        )
        for row in told["marker"]
    )
