"""Knowledge of psychology: concepts, passages of textbooks, techniques, lectures and diagnostic criteria.

A folder may hold any of these; each file is read by what it is:

| file | what it is | read by |
|---|---|---|
| .jsonl | a concept in each line, see below | this file |
| .cnxml | a module of an open textbook | `knowledge/cnxml.py` |
| .owl, .rdf | an ontology in RDF/XML | `knowledge/owl.py` |
| .csv, .tsv | an ontology or glossary as a table | `knowledge/ontology_csv.py` |
| .md | a glossary, or the transcript of a lecture | `knowledge/glossary.py`, `knowledge/lectures.py` |
| .txt | the transcript of a lecture | `knowledge/lectures.py` |
| .criteria.txt | diagnostic criteria that the user supplies | `knowledge/criteria.py` |
| .yaml, .yml, .json | descriptions of techniques | `knowledge/techniques.py` |

One JSON object per line of a .jsonl:
{"concept_id", "name", "category", "question", "definition", "clinical_use", "example", "related": [...]}

A record made from a concept carries it in its metadata, from which `knowledge.concepts` makes the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pe_ray.config import SourceSpec
from pe_ray.corpus.knowledge import cnxml, criteria, glossary, lectures, ontology_csv, owl, techniques
from pe_ray.corpus.knowledge.entry import Entry, Problem
from pe_ray.corpus.reading import (
    ReadPlan,
    Row,
    SourceFile,
    Unreadable,
    make_record,
    plan_files,
    read_jsonl,
    read_text,
    resolve,
)
from pe_ray.corpus.row import Fault, label, labels, text
from pe_ray.errors import SourceError
from pe_ray.record import Record

FIELDS = (
    *("concept_id", "name", "category", "question", "definition", "clinical_use", "example", "related"),
    "domain",
)
"""Of a row; only `related` and `domain` may be missing."""

Found = Iterator[Entry | Problem]

STREAMED: dict[str, Callable[[BinaryIO, str], Found]] = {
    ".cnxml": cnxml.read,
    ".owl": owl.read,
    ".rdf": owl.read,
}
"""XML, which says its own encoding."""
TABLES = (".csv", ".tsv")


def _markdown(words: str, uri: str) -> Found:
    if lectures.looks_like(words):
        return lectures.read(words, uri)
    return glossary.read(words, uri)


WRITTEN: dict[str, Callable[[str, str], Found]] = {
    ".criteria.txt": criteria.read,
    ".txt": lectures.read,
    ".md": _markdown,
    ".yaml": techniques.read,
    ".yml": techniques.read,
    ".json": techniques.read,
}
"""Formats of UTF-8 text; the first suffix that fits counts."""

SUFFIXES = (".jsonl", *STREAMED, *TABLES, *WRITTEN)
ABOUT_FILES = {"readme", "source", "license", "licence", "notice", "changelog", "contributing", "citation", "authors"}
"""Texts, by stem, that say where a folder comes from and not what it teaches."""


def plan(spec: SourceSpec) -> ReadPlan:
    """The files of a spec that can be read, without those that only say where they come from."""
    found = plan_files(spec, *SUFFIXES)
    if resolve(spec).is_file():
        return found
    kept = tuple(file for file in found.files if not _is_about_files(file))
    if not kept:
        raise SourceError(f"corpus.sources {spec.kind}: path={spec.path}: holds only texts about its files, no source")
    return ReadPlan(kept)


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """The records of every file: of a concept, a passage, or a question that the text asks and answers."""
    for file in (part or plan(spec)).files:
        if file.path.endswith(".jsonl"):
            yield from read_jsonl(spec, [file], from_row)
            continue
        for found in _found(spec, file):
            yield _record(spec, file, found)


def from_row(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    """A record of one JSON object; raises Fault for a key that is missing."""
    answer = "\n\n".join(text(row.data, name).strip() for name in ("definition", "clinical_use", "example"))
    return make_record(
        spec,
        file,
        row.line,
        domain=label(row.data, "domain", "psychology"),
        content_type="knowledge",
        messages=[("user", text(row.data, "question")), ("assistant", answer)],
        metadata={
            "concept_id": label(row.data, "concept_id"),
            "name": label(row.data, "name"),
            "category": label(row.data, "category"),
            "definition": label(row.data, "definition"),
            "related": ",".join(labels(row.data, "related")),
            "question": "contextual",
        },
    )


def _found(spec: SourceSpec, file: SourceFile) -> Iterator[Entry | Problem | Unreadable]:
    suffix = next((s for s in SUFFIXES if file.path.endswith(s)), None)
    if suffix in STREAMED or suffix in TABLES:
        yield from _streamed(file, suffix)
    elif suffix in WRITTEN:
        words = read_text(spec, file)
        if isinstance(words, Unreadable):
            yield words
        elif not words.strip():
            yield Problem(0, "file", "is empty")
        else:
            yield from WRITTEN[suffix](words, file.uri)
    else:
        yield Problem(0, "file", f"is of no kind that is read; one of {', '.join(SUFFIXES)} is wanted")


def _streamed(file: SourceFile, suffix: str) -> Found:
    try:
        with Path(file.path).open("rb") as handle:
            if not handle.read(1):
                yield Problem(0, "file", "is empty")
            elif suffix in TABLES:
                yield from ontology_csv.read(file.path, file.uri)
            else:
                handle.seek(0)
                yield from STREAMED[suffix](handle, file.uri)
    except OSError as error:
        yield Problem(0, "file", f"cannot be opened: {error.strerror}")


def _record(spec: SourceSpec, file: SourceFile, found: Entry | Problem | Unreadable) -> Record | Unreadable:
    if isinstance(found, Unreadable):
        return found
    if isinstance(found, Problem):
        return Unreadable(spec.source, file.uri, found.line, found.field, found.reason)
    try:
        return make_record(
            _with_licence(spec, found.licence),
            file,
            found.offset,
            domain="psychology",
            content_type=found.content_type,
            messages=[("user", found.question), ("assistant", found.answer)],
            metadata=dict(found.metadata),
        )
    except Fault as fault:
        return Unreadable(spec.source, file.uri, found.offset, fault.name, fault.reason)


def _with_licence(spec: SourceSpec, licence: str) -> SourceSpec:
    """What the run file says goes before what the file itself says."""
    if spec.licence or not licence or spec.path == "bundled":
        return spec
    return spec.model_copy(update={"licence": licence})


def _is_about_files(file: SourceFile) -> bool:
    path = PurePosixPath(file.path)
    return path.suffix in (".md", ".txt") and path.name.split(".")[0].casefold() in ABOUT_FILES
