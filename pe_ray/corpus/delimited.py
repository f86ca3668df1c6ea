"""Rows of delimited text (.csv, .tsv), streamed, with the line that each began on.

It is read strictly (RFC 4180: a quote opens a cell only at its start, and inside it is doubled). Where a quote breaks
that rule, the line that opened it is the fault and reading goes on with the next line, so that one stray quote cannot
swallow the rest of the file. A .tsv file often uses no quoting at all: there such a line is taken as it
stands, if it has the right number of cells. No cell is ever taken for null: "n/a" is a text.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pe_ray.corpus.lines import MAX_ROW_BYTES, Line, lines, too_long
from pe_ray.corpus.row import Fault

DELIMITERS = (",", ";", "\t", "|")
MAX_LINES = 100_000
"""Most lines of one row; a quote that is open for longer was never closed."""

csv.field_size_limit(MAX_ROW_BYTES)


@dataclass(frozen=True, slots=True)
class Cells:
    """A row of a table and the line that it began on; `values` is None where `fault` says what is wrong."""

    line: int
    start: int
    values: Sequence[Any] | None = field(repr=False)
    fault: str = ""


class _TooLong(Exception):
    pass


class _Feed:
    """Lines for csv.reader; those of the row in hand are kept, so that they can be read again one by one."""

    def __init__(self, source: Iterator[Line]) -> None:
        self.source = source
        self.again: deque[Line] = deque()
        self.taken: list[Line] = []
        self.size = 0
        self.undecoded = ""

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.size > MAX_ROW_BYTES or len(self.taken) > MAX_LINES:
            raise _TooLong
        line = self.again.popleft() if self.again else next(self.source)
        self.taken.append(line)
        self.size += line.size
        if line.data is None:
            raise _TooLong
        try:
            return line.data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.undecoded = f"byte {error.start} of line {line.number} is not UTF-8; save it as UTF-8"
            return line.data.decode("utf-8", "replace")  # only to find where the row ends

    def row(self, values: list[str]) -> Cells:
        """The row in hand, which is finished."""
        first, fault = self.taken[0], self.undecoded
        self.taken, self.size, self.undecoded = [], 0, ""
        return Cells(first.number, first.start, None if fault else values, fault)

    def give_up(self) -> Line:
        """The first line of what is no row; the others come again."""
        first = self.taken[0]
        self.again.extendleft(reversed(self.taken[1:]))
        self.taken, self.size, self.undecoded = [], 0, ""
        return first


def header(path: str) -> list[str]:
    """The names in the first row of delimited text; none if the file has no row.

    Raises Fault if that row cannot be read, OSError if the file cannot be opened.
    """
    return list(_header(path).values or [])


def rows(path: str, start: int = 0, line: int = 1, size: int | None = None) -> Iterator[Cells]:
    """The rows under the header that begin in a piece of a file; blank ones are passed over.

    Raises what `header` raises.
    """
    top = _header(path)
    columns = len(top.values or [])
    for cells in _cells(path, start, line, None if size is None else start + size, columns):
        if cells.start <= top.start or (cells.values is not None and not any(cells.values)):
            continue
        if cells.values is not None and len(cells.values) != columns:
            found = len(cells.values)
            yield Cells(cells.line, cells.start, None, f"has {found} cells; the header has {columns}")
        else:
            yield cells


def pieces(path: str, piece_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Whole rows in pieces of about `piece_bytes`: where each starts, its size, and its first line.

    The rows are found by the reader itself, so that no piece begins inside a quoted cell.
    """
    start, number, end = 0, 1, Path(path).stat().st_size
    for cells in _cells(path):
        if cells.start - start >= piece_bytes:
            yield start, cells.start - start, number
            start, number = cells.start, cells.line
    if end > start:
        yield start, end - start, number


def _header(path: str) -> Cells:
    first = next(_cells(path), None)
    if first is None:
        return Cells(1, -1, [])
    if first.values is None:
        raise Fault("header", first.fault)
    return first


def _cells(
    path: str, start: int = 0, line: int = 1, end: int | None = None, columns: int | None = None
) -> Iterator[Cells]:
    delimiter = _delimiter(path)
    with Path(path).open("rb") as handle:
        feed = _Feed(lines(handle, start, line))
        while True:
            try:
                for values in csv.reader(feed, delimiter=delimiter, strict=True):
                    if delimiter == "\t" and any("\n" in v and "\t" in v for v in values):
                        raise csv.Error  # two plain quotes, lines apart, were taken for a pair
                    cells = feed.row(values)
                    if end is not None and cells.start >= end:
                        return
                    if values:
                        yield cells
                return
            except (csv.Error, _TooLong):
                broken = feed.give_up()
            if end is not None and broken.start >= end:
                return
            yield _fault(broken, delimiter, columns)


def _fault(line: Line, delimiter: str, columns: int | None) -> Cells:
    if line.data is None:
        return Cells(line.number, line.start, None, too_long())
    values = line.data.decode("utf-8", "replace").rstrip("\r\n").split("\t")
    if delimiter == "\t" and len(values) == columns and "\ufffd" not in line.data.decode("utf-8", "replace"):
        return Cells(line.number, line.start, values)
    return Cells(line.number, line.start, None, "opens a quote that is not closed, or holds one that is not doubled")


def _delimiter(path: str) -> str:
    if path.endswith(".tsv"):
        return "\t"
    with Path(path).open("rb") as handle:
        first = next(lines(handle, size=1), None)
    text = (first.data or b"").decode("utf-8", "replace") if first else ""
    return max(DELIMITERS, key=text.count)
