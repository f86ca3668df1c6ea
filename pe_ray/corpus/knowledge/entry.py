"""What a format gives: an entry (a question, its answer, what is known about it), or a problem with its line."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pe_ray.record import digest

CONTEXTUAL = "contextual"
"""The question was written by us, to fit the answer."""
EXTRACTED = "extracted"
"""The question stands in the text."""

ANGLED = re.compile(r"<([^<>\n]{1,120})>")
"""Ontologies write a reference to another of their classes so; HTML cleaning would eat it as a tag."""


@dataclass(frozen=True)
class Entry:
    """A question and its answer. `offset` is the line, or the number of an item where a format has no lines."""

    offset: int
    question: str = field(repr=False)
    answer: str = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)
    content_type: str = "knowledge"
    licence: str = ""
    """What the file itself says; the source's own statement goes before it."""


@dataclass(frozen=True)
class Problem:
    """What gave no entry. `line` counts from 1 (0: the whole file); `reason` never repeats what the text says."""

    line: int
    field: str
    reason: str


@dataclass(frozen=True)
class About:
    """What a vocabulary says about a concept. `kind` is the record's category."""

    concept_id: str
    name: str
    kind: str
    definition: str = ""
    synonyms: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    criteria: str = ""
    """JSON of a `CriteriaSet`."""

    def metadata(self) -> dict[str, str]:
        """As the metadata of a record, from which `concepts.collect` makes the concept again."""
        listed = {"synonyms": self.synonyms, "parents": self.parents, "related": self.related}
        told = {"concept_id": self.concept_id, "name": self.name, "category": self.kind, "definition": self.definition}
        told |= {key: json.dumps(value, ensure_ascii=False) for key, value in listed.items() if value}
        return told | ({"criteria": self.criteria} if self.criteria else {})

    def answer(self, *more: str) -> str:
        """The definition under its name, what the concept belongs to, its other names, and `more` paragraphs."""
        lines = [f"{capitalised(self.name)}: {self.definition}" if self.definition else capitalised(self.name)]
        if self.parents:
            lines.append(f"A kind of: {', '.join(self.parents)}.")
        if self.synonyms:
            lines.append(f"Also called: {', '.join(self.synonyms)}.")
        return "\n\n".join(["\n".join(lines), *(m for m in more if m)])


def identifier(vocabulary: str, name: str) -> str:
    """The id of a concept whose vocabulary gives it none: the same name, however it is capitalised, is one concept."""
    return f"{vocabulary}:{digest(vocabulary, fold(name))[:16]}"


def fold(name: str) -> str:
    """A name as it is compared: case, width and spacing do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def one_line(text: str) -> str:
    """Text with every run of white space as one space."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """Lines tidied, references to classes as words, blank lines left out."""
    lines = (one_line(line) for line in ANGLED.sub(r"\1", text).splitlines())
    return "\n".join(line for line in lines if line)


def capitalised(name: str) -> str:
    return name[:1].upper() + name[1:]


def distinct(names: Sequence[str], *, but: str = "") -> tuple[str, ...]:
    """Names in their order, without doubles, without empty ones and without `but`."""
    seen = {fold(but)} if but else set()
    kept = []
    for name in map(one_line, names):
        if name and fold(name) not in seen:
            seen.add(fold(name))
            kept.append(name)
    return tuple(kept)


def lines_told(lines: Sequence[int], most: int = 10) -> str:
    """Line numbers as a reason gives them, the first few by number."""
    told = ", ".join(map(str, lines[:most]))
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {told}{more}"


def unwritable(text: str) -> str | None:
    """Why a text cannot be stored, or None: a NUL, or half a surrogate pair."""
    if "\0" in text:
        return "holds NUL, which is no text"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no character"
    return None


def unwritable_line(text: str) -> Problem | None:
    """The first line of a text that cannot be stored."""
    if unwritable(text) is None:
        return None
    faults = ((number, unwritable(line)) for number, line in enumerate(text.split("\n"), start=1))
    return next(Problem(number, "line", fault) for number, fault in faults if fault)
