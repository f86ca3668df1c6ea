"""Descriptions of therapeutic techniques in YAML or JSON: what for, when not, how, on what evidence.

techniques:
  - name: Worry time
    description: Worries are put off to a set quarter of an hour.
    indications: [generalised worry]
    contraindications: [acute crisis]
    steps: [Agree on a time., Write worries down until then.]
    evidence: two small trials
    example: "Therapist: Let us keep that one for six o'clock."
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pe_ray.corpus.knowledge import questions
from pe_ray.corpus.knowledge.entry import CONTEXTUAL, About, Entry, Problem, distinct, identifier, one_line, unwritable
from pe_ray.corpus.row import Fault, kind

HEADINGS = {
    "indications": "When it helps",
    "contraindications": "When not to use it",
    "steps": "Steps",
    "evidence": "Evidence",
    "example": "Example",
}
"""Fields that are paragraphs of the answer, in its order, and how each is announced."""

ALIASES = {
    "technique": "name",
    "title": "name",
    "summary": "description",
    "definition": "description",
    "indication": "indications",
    "contraindication": "contraindications",
    "procedure": "steps",
    "step": "steps",
    "examples": "example",
    "synonym": "synonyms",
    "aliases": "synonyms",
    "parent": "parents",
    "kind": "category",
}
TEXTS = ("name", "description", "evidence", "example", "id", "category")
LISTS = ("indications", "contraindications", "steps", "synonyms", "related", "parents")
KNOWN = (*TEXTS, *LISTS)
TECHNIQUES = re.compile(r'"techniques"\s*:\s*\[')
NEEDED = ("description", "indications")
"""At least one of them must be told."""


def read(text: str, uri: str) -> Iterator[Entry | Problem]:
    """An entry for each technique of a file."""
    items = json_items(text) if uri.endswith(".json") else yaml_items(text)
    if isinstance(items, Problem):
        yield items
        return
    for line, item in items:
        try:
            yield _entry(line, item)
        except Fault as fault:
            yield Problem(line, fault.name, fault.reason)
    if not items:
        yield Problem(0, "techniques", "none in the file; a list of objects with a name is wanted")


def yaml_items(text: str) -> list[tuple[int, Any]] | Problem:
    """The items of a YAML document, a list or one object, and the line of each."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode) and (inner := _inner(node)):
            node = inner
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node] if node else []
        return [(n.start_mark.line + 1, loader.construct_document(n)) for n in nodes]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Problem(mark.line + 1 if mark else 0, "file", "is not YAML: brackets, quotes or indentation do not fit")
    except (yaml.YAMLError, ValueError, RecursionError):
        return Problem(0, "file", "is YAML that cannot be held: control characters, or nested without end")


def json_items(text: str) -> list[tuple[int, Any]] | Problem:
    """The items of a JSON document, a list or one object; the line of each is that of its opening bracket."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        return Problem(error.lineno, "file", f"is not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError):
        return Problem(0, "file", "is JSON that cannot be held; a list of flat objects is wanted")
    if isinstance(data, list):
        return _json_lines(text, text.index("["))
    if isinstance(data, dict) and isinstance(data.get("techniques"), list):
        listed = TECHNIQUES.search(text)
        return _json_lines(text, listed.end() - 1) if listed else [(1, item) for item in data["techniques"]]
    return [(1, data)]


def _json_lines(text: str, opening: int) -> list[tuple[int, Any]]:
    decoder, at = json.JSONDecoder(), opening + 1
    found: list[tuple[int, Any]] = []
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return found
        item, end = decoder.raw_decode(text, at)
        found.append((text.count("\n", 0, at) + 1, item))
        at = end


def _inner(node: yaml.MappingNode) -> yaml.SequenceNode | None:
    pairs = ((key.value, value) for key, value in node.value)
    return next((v for k, v in pairs if k == "techniques" and isinstance(v, yaml.SequenceNode)), None)


def _entry(line: int, item: Any) -> Entry:
    data = _fields(item)
    name = one_line(str(data.get("name", "")))
    if not name:
        raise Fault("name", "is missing; a technique needs a name")
    if not any(data.get(key) for key in NEEDED):
        raise Fault("description", f"is missing; one of {', '.join(NEEDED)} is wanted")
    description = str(data.get("description", ""))
    about = About(
        concept_id=str(data.get("id") or identifier("technique", name)),
        name=name,
        kind=str(data.get("category") or "technique").casefold(),
        definition=description or f"used for {'; '.join(data['indications'])}",
        synonyms=distinct(data.get("synonyms", ()), but=name),
        parents=distinct(data.get("parents", ()), but=name),
        related=distinct(data.get("related", ()), but=name),
    )
    return Entry(
        line,
        questions.ask(questions.TECHNIQUE, about.concept_id, name=name),
        about.answer(*_paragraphs(data)),
        {"question": CONTEXTUAL} | about.metadata(),
    )


def _paragraphs(data: Mapping[str, Any]) -> Iterator[str]:
    for key, heading in HEADINGS.items():
        value = data.get(key)
        if isinstance(value, str) and value:
            yield f"{heading}: {value}"
        elif value:
            bullets = (f"{i}." if key == "steps" else "-" for i in range(1, len(value) + 1))
            yield "\n".join([f"{heading}:", *(f"{b} {v}" for b, v in zip(bullets, value, strict=True))])


def _fields(item: Any) -> dict[str, Any]:
    """The fields of a technique under their proper names; a key that is not known is a fault, not a loss."""
    if not isinstance(item, dict):
        raise Fault("technique", f"is {kind(item)}; an object with a name is wanted")
    data: dict[str, Any] = {}
    for key, value in item.items():
        name = str(key).strip().casefold().replace("-", "_").replace(" ", "_")
        name = ALIASES.get(name, name)
        if name not in KNOWN:
            near = difflib.get_close_matches(name, (*KNOWN, *ALIASES), n=1, cutoff=0.75)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(KNOWN)} is wanted"
            raise Fault("key", f"a key of {len(str(key))} characters is not known; {hint}")
        if value is not None:
            data[name] = _list(name, value) if name in LISTS else _text(name, value)
    return data


def _text(name: str, value: Any) -> str:
    """One text; a list of texts as its paragraphs, because examples come in either form."""
    if isinstance(value, list):
        return "\n".join(_list(name, value))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Fault(name, f"is {kind(value)}; text is wanted")
    if fault := unwritable(str(value)):
        raise Fault(name, fault)
    return str(value).strip()


def _list(name: str, value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(i, str) for i in items):
        raise Fault(name, "is not a list of texts; quote items that hold a colon")
    return [stripped for i in items if (stripped := _text(name, i))]
