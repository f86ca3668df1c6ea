"""XML with line numbers, read as far as it is whole; no entity is expanded and nothing is fetched.

Line numbers come from the expat parser below defusedxml's, which therefore is its pure Python one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, TreeBuilder

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import DefusedXMLParser, ParseError  # type: ignore[import-untyped]

from pe_ray.corpus.knowledge.entry import Problem

CHUNK_BYTES = 1 << 16
DEEPEST = 200
"""Elements within elements; deeper is an attack or an accident."""
LINE = "{pe_ray}line"


@dataclass(frozen=True)
class Tree:
    """What could be read of a document. Elements that the damage left open are not in it, unless they hold others."""

    root: Element | None
    damage: Problem | None


class _TooDeep(ValueError):
    pass


class _Builder(TreeBuilder):
    """A tree builder that knows its lines, and what is still open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Element] = []
        self.root: Element | None = None
        self.expat: Any = None

    def start(self, tag: Any, attrs: Any, /) -> Element:
        if len(self.open) >= DEEPEST:
            raise _TooDeep
        element = super().start(tag, {**attrs, LINE: str(self.expat.CurrentLineNumber)})
        self.root = element if self.root is None else self.root
        self.open.append(element)
        return element

    def end(self, tag: Any, /) -> Element:
        self.open.pop()
        return super().end(tag)


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def line_of(element: Element) -> int:
    return int(element.get(LINE, "0"))


def tree(handle: BinaryIO, containers: frozenset[str]) -> Tree:
    """The whole document, or what stands before the damage.

    An element that the damage cut is left out, unless its local name is in `containers`: these keep what was closed.
    """
    builder = _Builder()
    damage = next((found for found in _feed(handle, builder) if found), None)
    if damage:
        for parent, child in zip(builder.open, builder.open[1:], strict=False):
            if local(child) not in containers:
                parent.remove(child)
                break
    return Tree(builder.root, damage)


def children(handle: BinaryIO) -> Iterator[tuple[Element, Element] | Problem]:
    """The root and each child of it that is whole, one at a time, so that a large document is never in memory."""
    builder = _Builder()
    for damage in _feed(handle, builder):
        root = builder.root
        if root is None:
            if damage:
                yield damage
            continue
        whole = [child for child in root if child not in builder.open[1:2]]
        for child in whole:
            yield root, child
            root.remove(child)
        if damage:
            yield damage


def _feed(handle: BinaryIO, builder: _Builder) -> Iterator[Problem | None]:
    """None after each chunk, and at last what is wrong with the document, if anything is."""
    parser = DefusedXMLParser(target=builder)
    builder.expat = parser.parser
    try:
        while chunk := handle.read(CHUNK_BYTES):
            parser.feed(chunk)
            yield None
        parser.close()
    except ParseError as error:
        what = str(error).split(":")[0]
        yield Problem(error.position[0], "xml", f"is not well formed or cut short ({what}); what stands before is read")
    except DefusedXmlException:
        yield _at(parser, "declares entities or refers to another file, which is never followed; save it without them")
    except _TooDeep:
        yield _at(parser, f"nests more than {DEEPEST} elements")
    except (LookupError, ValueError):
        yield _at(parser, "is in an encoding that cannot be read; save it as UTF-8")
    else:
        yield None


def _at(parser: Any, reason: str) -> Problem:
    return Problem(parser.parser.CurrentLineNumber, "xml", reason)
