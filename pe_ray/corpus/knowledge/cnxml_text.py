"""The words of a CNXML module: its sections as paragraphs, with what no reader would miss left out.

Lists and tables keep their items; formulas keep their symbols. Figures, footnotes and links to web pages are dropped;
a link to a figure or table of the module leaves "the figure", because the sentence leans on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from xml.etree.ElementTree import Element

from pe_ray.corpus.knowledge.entry import fold, one_line
from pe_ray.corpus.knowledge.xml import line_of, local

DROPPED = {"figure", "subfigure", "media", "footnote", "exercise", "note", "title", "label", "iframe", "cite-title"}
NOT_READ = {"references", "sr-contrib-auth", "suggested-reading"}
"""Sections, by class, that hold no prose."""
POINTED_AT = {"figure": "the figure", "table": "the table", "equation": "the formula"}

ONLY_POINTER = re.compile(r"\s*\((?:[Ss]ee )?the (?:figure|table|formula)(?:(?:,| and|, and) the (?:figure|table))*\)")
EMPTY_BRACKETS = re.compile(r"\s*\(\s*[,;]?\s*\)")
SPACE_BEFORE_STOP = re.compile(r"\s+([,.;:?!])(?=\s|$)")
POINTER_AT_START = re.compile(r"(^|[.!?]\s+)the (figure|table|formula)\b")


@dataclass
class Paragraph:
    """A paragraph with the lists and tables that hang on it, and the terms that it introduces."""

    line: int
    text: str = field(repr=False)
    terms: list[str] = field(default_factory=list)

    @cached_property
    def folded(self) -> str:
        """The whole text as terms are looked for in it, once a module is read."""
        return fold(self.text)


@dataclass
class Section:
    """A section with a title of its own. `style` is its class; `above` the title of what it is a section of."""

    line: int
    title: str
    above: str
    style: str = ""
    paragraphs: list[Paragraph] = field(default_factory=list)


def sections(root: Element, title: str) -> list[Section]:
    """The sections of a module in the order of the text; what stands before the first is under the module's title."""
    pointers = {str(e.get("id")): POINTED_AT[local(e)] for e in root.iter() if local(e) in POINTED_AT and e.get("id")}
    found: list[Section] = []
    for part in root:
        if local(part) == "content":
            _gather(part, Section(line_of(part), title, ""), found, pointers)
    return [s for s in found if s.paragraphs]


def words(element: Element, pointers: dict[str, str] | None = None) -> str:
    """The text of an element, lists in lines of their own."""
    raw = "".join(_child(element, pointers or {}))
    lines = (_tidy(line) for line in raw.split("\n"))
    return "\n".join(line for line in lines if line)


def title_of(element: Element) -> str:
    found = next((child for child in element if local(child) == "title"), None)
    return one_line("".join(found.itertext())) if found is not None else ""


def list_items(element: Element) -> list[str]:
    """The items of the first list in an element."""
    found = next((e for e in element.iter() if local(e) == "list"), None)
    return [] if found is None else [words(item) for item in found if local(item) == "item"]


def _gather(container: Element, section: Section, found: list[Section], pointers: dict[str, str]) -> None:
    found.append(section)
    for child in container:
        name = local(child)
        style = (child.get("class") or "").strip()
        if name == "section" and style not in NOT_READ:
            own = Section(line_of(child), title_of(child) or section.title, section.title, style)
            _gather(child, own, found, pointers)
        elif name == "note" and title_of(child):
            _gather(child, Section(line_of(child), title_of(child), section.title, "note"), found, pointers)
        elif name in ("list", "table", "equation", "quote"):
            _attach(section, child, words(child, pointers))
        elif name == "para" and (text := words(child, pointers)):
            section.paragraphs.append(Paragraph(line_of(child), text, _terms(child)))


def _attach(section: Section, element: Element, text: str) -> None:
    """A list belongs to the paragraph that announces it."""
    if not text:
        return
    if section.paragraphs:
        section.paragraphs[-1].text += "\n" + text
        section.paragraphs[-1].terms += _terms(element)
    else:
        section.paragraphs.append(Paragraph(line_of(element), text, _terms(element)))


def _terms(element: Element) -> list[str]:
    """Terms that the text introduces; one that it only mentions again is marked no-emphasis."""
    return [one_line("".join(e.itertext())) for e in element.iter() if local(e) == "term" and not e.get("class")]


def _inline(element: Element, pointers: dict[str, str]) -> Iterator[str]:
    yield _flat(element.text)
    for child in element:
        yield from _child(child, pointers)
        yield _flat(child.tail)


def _child(child: Element, pointers: dict[str, str]) -> Iterator[str]:
    name = local(child)
    if name in DROPPED:
        return
    if name == "list":
        yield from _list(child, pointers)
    elif name == "table":
        yield from _table(child, pointers)
    elif name == "link" and not "".join(child.itertext()).strip():
        yield pointers.get(child.get("target-id") or "", "")
    elif name == "newline":
        yield "\n"
    elif name in ("equation", "math", "quote", "para"):
        yield from (" ", *_inline(child, pointers), " ")
    else:
        yield from _inline(child, pointers)


def _list(element: Element, pointers: dict[str, str]) -> Iterator[str]:
    numbered = element.get("list-type") == "enumerated"
    items = (child for child in element if local(child) == "item")
    for number, item in enumerate(items, start=1):
        yield f"\n{f'{number}.' if numbered else '-'} "
        yield from _inline(item, pointers)
    yield "\n"


def _table(element: Element, pointers: dict[str, str]) -> Iterator[str]:
    """A line for each row, every cell under the heading of its column."""
    rows = [e for e in element.iter() if local(e) == "row"]
    head = {id(row) for part in element.iter() if local(part) == "thead" for row in part}
    headings = [_cells(row, pointers) for row in rows if id(row) in head][-1:] or [[]]
    for row in rows:
        cells = _cells(row, pointers)
        if id(row) in head or not any(cells):
            continue
        named = len(headings[0]) == len(cells)
        pairs = zip(headings[0], cells, strict=True) if named else (("", cell) for cell in cells)
        yield "\n- " + "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)
    yield "\n"


def _cells(row: Element, pointers: dict[str, str]) -> list[str]:
    return [one_line("".join(_inline(cell, pointers))) for cell in row if local(cell) == "entry"]


def _flat(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


def _tidy(line: str) -> str:
    line = EMPTY_BRACKETS.sub("", ONLY_POINTER.sub("", one_line(line)))
    line = POINTER_AT_START.sub(r"\1The \2", line)
    return SPACE_BEFORE_STOP.sub(r"\1", line).strip()
