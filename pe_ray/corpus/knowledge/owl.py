"""OWL ontologies in RDF/XML: a concept for each class that has a name and a definition.

Deprecated classes, classes of the upper ontologies (which order the world, not psychology), bare references to classes
of another file and classes without a definition are left out: no fault of the file, so one line says how many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.etree.ElementTree import Element

from pe_ray.corpus.knowledge import questions
from pe_ray.corpus.knowledge.entry import CONTEXTUAL, About, Entry, Problem, distinct, lines_told, one_line, plain
from pe_ray.corpus.knowledge.xml import children, line_of, local

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
DEFINITIONS = ("IAO_0000115", "definition", "IAO_0000600")
"""Properties that hold a definition, the best first: OBO, SKOS, and an elucidation of what cannot be defined."""
SYNONYMS = {"IAO_0000118", "hasExactSynonym", "hasRelatedSynonym", "hasNarrowSynonym", "hasBroadSynonym", "altLabel"}
EXAMPLES = {"IAO_0000112", "example"}
UPPER = {"BFO", "IAO", "OMO", "RO", "oboInOwl"}

OBO_ID = re.compile(r"^([A-Za-z]+)_(\w*\d)$")
LEFT_OUT = {
    "deprecated": "are marked deprecated",
    "upper": "are of an upper ontology",
    "reference": "have no label, so they refer to another file",
    "definition": "have no definition (IAO_0000115)",
}


@dataclass(frozen=True)
class OwlClass:
    """What an ontology says about a class; `parents` are ids."""

    line: int
    id: str
    label: str = ""
    definition: str = ""
    synonyms: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    deprecated: bool = False


@dataclass
class Ontology:
    """A file's classes in their order, what it says about itself, and what is wrong with it."""

    title: str = ""
    licence: str = ""
    classes: dict[str, OwlClass] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read(handle: BinaryIO, uri: str) -> Iterator[Entry | Problem]:
    """The entries of an ontology, then what was left out and what is wrong with it."""
    ontology = parse(handle)
    left_out: dict[str, list[int]] = {why: [] for why in LEFT_OUT}
    for owl_class in ontology.classes.values():
        if why := _left_out(owl_class):
            left_out[why].append(owl_class.line)
        else:
            yield _entry(owl_class, ontology)
    if any(left_out.values()):
        told = (f"{len(where)} {LEFT_OUT[why]} ({lines_told(where)})" for why, where in left_out.items() if where)
        yield Problem(0, "classes", f"of {len(ontology.classes)} some are left out: {'; '.join(told)}")
    yield from ontology.problems
    if not ontology.classes and not ontology.problems:
        yield Problem(0, "owl:Class", "none in the file; RDF/XML with owl:Class elements is wanted")


def parse(handle: BinaryIO) -> Ontology:
    """An ontology, element by element."""
    ontology = Ontology()
    for item in children(handle):
        if isinstance(item, Problem):
            ontology.problems.append(item)
            continue
        root, element = item
        if local(root) != "RDF":
            ontology.problems.append(Problem(1, "rdf:RDF", f"begins with <{local(root)}>; RDF/XML is wanted"))
            break
        if local(element) == "Ontology":
            ontology.title = ontology.title or _text(element, "title")
            ontology.licence = ontology.licence or _licence(element)
        elif _is_class(element) and (found := _class(element)):
            known = ontology.classes.get(found.id)
            ontology.classes[found.id] = _merged(known, found) if known else found
    return ontology


def short_id(iri: str) -> str:
    """The id of an IRI: its fragment or last part, with OBO's underscore written as the colon that others use."""
    last = re.split(r"[#/]", iri.rstrip("#/"))[-1]
    obo = OBO_ID.match(last)
    return f"{obo[1]}:{obo[2]}" if obo else last


def _entry(owl_class: OwlClass, ontology: Ontology) -> Entry:
    labels = [ontology.classes[p].label for p in owl_class.parents if p in ontology.classes]
    about = About(
        concept_id=owl_class.id,
        name=owl_class.label,
        kind=_kind(owl_class, ontology.classes),
        definition=owl_class.definition,
        synonyms=owl_class.synonyms,
        parents=distinct(labels, but=owl_class.label),
    )
    examples = f"For example: {'; '.join(owl_class.examples)}" if owl_class.examples else ""
    return Entry(
        owl_class.line,
        questions.ask(questions.TERM, owl_class.id, name=owl_class.label),
        about.answer(examples),
        {"question": CONTEXTUAL, "vocabulary": ontology.title} | about.metadata(),
        licence=ontology.licence,
    )


def _left_out(owl_class: OwlClass) -> str | None:
    if owl_class.deprecated:
        return "deprecated"
    if _is_upper(owl_class.id):
        return "upper"
    if not owl_class.label:
        return "reference"
    return None if owl_class.definition else "definition"


def _is_upper(class_id: str) -> bool:
    return class_id.split(":")[0] in UPPER


def _kind(owl_class: OwlClass, classes: Mapping[str, OwlClass]) -> str:
    """The name of the highest class above it that is not of an upper ontology: "mental process", "behavior"."""
    seen = {owl_class.id}
    while above := [p for p in owl_class.parents if p in classes and not _is_upper(p) and p not in seen]:
        if not classes[above[0]].label:
            break
        owl_class = classes[above[0]]
        seen.add(owl_class.id)
    return owl_class.label


def _is_class(element: Element) -> bool:
    if local(element) == "Class":
        return True
    types = [child.get(f"{RDF}resource") or "" for child in element if local(child) == "type"]
    return local(element) == "Description" and any(t.endswith("owl#Class") for t in types)


def _class(element: Element) -> OwlClass | None:
    """A class with an IRI; an anonymous one is part of a formula and no concept."""
    iri = element.get(f"{RDF}about") or element.get(f"{RDF}ID") or ""
    if not iri:
        return None
    definitions = {local(c): plain(c.text or "") for c in reversed(element) if local(c) in DEFINITIONS and _read(c)}
    label = _text(element, "label") or _text(element, "prefLabel")
    return OwlClass(
        line=line_of(element),
        id=short_id(iri),
        label=label,
        definition=next((definitions[d] for d in DEFINITIONS if definitions.get(d)), ""),
        synonyms=distinct([c.text or "" for c in element if local(c) in SYNONYMS and _read(c)], but=label),
        examples=distinct([plain(c.text or "") for c in element if local(c) in EXAMPLES and _read(c)]),
        parents=_parents(element),
        deprecated=any(local(c) == "deprecated" and (c.text or "").strip() in ("true", "1") for c in element),
    )


def _merged(first: OwlClass, again: OwlClass) -> OwlClass:
    """A class that is described in two places of a file."""
    return OwlClass(
        line=first.line if first.label else again.line,
        id=first.id,
        label=first.label or again.label,
        definition=first.definition or again.definition,
        synonyms=distinct(first.synonyms + again.synonyms, but=first.label or again.label),
        examples=distinct(first.examples + again.examples),
        parents=tuple(dict.fromkeys(first.parents + again.parents)),
        deprecated=first.deprecated or again.deprecated,
    )


def _parents(element: Element) -> tuple[str, ...]:
    iris = [child.get(f"{RDF}resource") for child in element if local(child) == "subClassOf"]
    return tuple(dict.fromkeys(short_id(iri) for iri in iris if iri))


def _text(element: Element, name: str) -> str:
    """The text of a property; of several, the one in English or without a language."""
    found = [one_line(child.text or "") for child in element if local(child) == name and _read(child)]
    return next(filter(None, found), "")


def _read(child: Element) -> bool:
    return (child.get(XML_LANG) or "en").casefold().startswith("en")


def _licence(element: Element) -> str:
    found = next((child for child in element if local(child) in ("license", "licence", "rights")), None)
    return "" if found is None else one_line(found.get(f"{RDF}resource") or found.text or "")
