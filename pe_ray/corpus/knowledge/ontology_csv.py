"""Ontologies and glossaries as tables: CSV or TSV with a heading row.

Columns are found by their names, however these are written ("Label", "rdfs:label", "Preferred term"). A table with a
term and a meaning is enough. Rows that their curators marked obsolete are left out, and one line says how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pe_ray.corpus import delimited
from pe_ray.corpus.knowledge import questions
from pe_ray.corpus.knowledge.entry import (
    CONTEXTUAL,
    About,
    Entry,
    Problem,
    distinct,
    identifier,
    lines_told,
    one_line,
    plain,
    unwritable,
)
from pe_ray.corpus.knowledge.owl import short_id
from pe_ray.corpus.row import Fault

COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "identifier", "curie", "iri", "uri", "concept id", "code"),
    "label": ("label", "rdfs label", "name", "term", "concept", "word", "preferred term", "preferred label"),
    "definition": ("definition", "meaning", "description", "iao 0000115"),
    "informal": ("informal definition", "plain definition", "in plain words", "lay definition"),
    "parent": ("parent", "parents", "subclass of", "is a", "broader", "parent label"),
    "synonyms": ("synonyms", "synonym", "also called", "alternative labels", "aliases"),
    "examples": ("examples", "example", "examples of usage", "example of usage"),
    "comment": ("comment", "comments", "scope note", "note"),
    "related": ("related", "see also", "related terms"),
    "kind": ("sub ontology", "category", "kind", "type"),
    "status": ("curation status", "status", "deprecated", "obsolete"),
}
"""What a column holds, and the names under which it is known, normalised: lower case, marks as spaces."""

OBSOLETE = {"obsolete", "deprecated", "true", "1", "yes", "withdrawn"}
SEVERAL = re.compile(r"\s*[;|]\s*")
MOST_CHARACTERS = 20_000
"""Of a definition; more is a whole text, or a damaged table."""
BRACKETED_ID = re.compile(r"\s*\[[\w.]+:[\w.]+\]\s*$")


@dataclass(frozen=True)
class TableRow:
    """One row by what its cells hold."""

    line: int
    cells: dict[str, str] = field(repr=False)

    def __getitem__(self, name: str) -> str:
        return self.cells.get(name, "")


def read(path: str, uri: str) -> Iterator[Entry | Problem]:
    """An entry for each row in force, a problem for each that has no name or no definition.

    Raises OSError if the file cannot be opened.
    """
    obsolete: list[int] = []
    rows = found = 0
    for row in _rows(path):
        found += 1
        if isinstance(row, Problem):
            yield row
            continue
        rows += 1
        if row["status"].casefold() in OBSOLETE:
            obsolete.append(row.line)
        else:
            yield _entry(row)
    if obsolete:
        told = f"{len(obsolete)} of {rows} rows are marked obsolete; left out ({lines_told(obsolete)})"
        yield Problem(0, "deprecated", told)
    elif not found:
        yield Problem(0, "rows", "none below the headings")


def columns(headings: Sequence[str]) -> dict[str, int]:
    """Which column holds what; the first of several that could."""
    names = [" ".join(re.sub(r"[\W_]+", " ", re.sub(r"\[[^\]]*\]", "", h)).casefold().split()) for h in headings]
    found = {}
    for what, known in COLUMNS.items():
        place = next((names.index(name) for name in known if name in names), None)
        if place is not None:
            found[what] = place
    return found


def _rows(path: str) -> Iterator[TableRow | Problem]:
    try:
        headings = delimited.header(path)
    except Fault as fault:
        yield Problem(1, fault.name, fault.reason)
        return
    places = columns(headings)
    if missing := [name for name in ("label", "definition") if name not in places]:
        wanted = ", ".join(COLUMNS[missing[0]])
        yield Problem(1, missing[0], f"no such column; one of {wanted} is wanted")
        return
    for row in delimited.rows(path):
        if row.values is None:
            yield Problem(row.line, "row", row.fault)
        elif problem := next(filter(None, (unwritable(str(cell)) for cell in row.values)), None):
            yield Problem(row.line, "row", problem)
        else:
            yield TableRow(row.line, {what: str(row.values[i]).strip() for what, i in places.items()})


def _entry(row: TableRow) -> Entry | Problem:
    name, definition = one_line(row["label"]), plain(row["definition"])
    if not name or not definition:
        missing = "label" if not name else "definition"
        return Problem(row.line, missing, "is empty; a concept needs a name and what it means")
    if len(definition) > MOST_CHARACTERS:
        return Problem(row.line, "definition", f"has more than {MOST_CHARACTERS} characters; a definition is wanted")
    about = About(
        concept_id=short_id(row["id"]) if row["id"] else identifier("term", name),
        name=name,
        kind=one_line(row["kind"]).casefold() or "term",
        definition=definition,
        synonyms=_several(row["synonyms"], but=name),
        parents=distinct([BRACKETED_ID.sub("", p) for p in SEVERAL.split(plain(row["parent"]))], but=name),
        related=_several(row["related"], but=name),
    )
    return Entry(
        row.line,
        questions.ask(questions.TERM, about.concept_id, name=name),
        about.answer(*_more(row)),
        {"question": CONTEXTUAL} | about.metadata(),
    )


def _several(cell: str, *, but: str) -> tuple[str, ...]:
    return distinct(SEVERAL.split(plain(cell)), but=but)


def _more(row: TableRow) -> Iterator[str]:
    told = {"informal": "In plain words", "examples": "For example", "comment": "Note"}
    for name, intro in told.items():
        if text := plain(row[name]):
            yield f"{intro}: {text}"
