"""Lines of a file, one at a time and none endless: what is longer than the bound is skipped as it streams by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

MAX_ROW_BYTES = 16 << 20
"""A longer row is no dialogue but a fault of an export; it is quarantined with its line, and never held whole."""
CHUNK_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its line end. `data` is None where the line is longer than the bound."""

    number: int
    start: int
    size: int
    data: bytes | None = field(repr=False)


def lines(
    handle: BinaryIO, start: int = 0, number: int = 1, size: int | None = None, max_bytes: int = MAX_ROW_BYTES
) -> Iterator[Line]:
    """The lines that begin in `size` bytes from `start` (None: to the end), the first of them called `number`."""
    handle.seek(start)
    end = None if size is None else start + size
    while (end is None or start < end) and (data := handle.readline(max_bytes + 1)):
        whole = len(data) <= max_bytes or data.endswith(b"\n")
        length = len(data) if whole else len(data) + _skip_line(handle)
        if start == 0:
            data = data.removeprefix(BOM)
        yield Line(number, start, length, data if whole else None)
        start, number = start + length, number + 1


def pieces(handle: BinaryIO, piece_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Whole lines in pieces of about `piece_bytes`: where each starts, its size, and the number of its first line."""
    start, number = 0, 1
    handle.seek(0)
    while True:
        size, breaks, last = _read(handle, piece_bytes)
        if not size:
            return
        if last != b"\n":
            rest = _skip_line(handle)
            size, breaks = size + rest, breaks + (rest > 0)
        yield start, size, number
        start, number = start + size, number + breaks


def no_text(head: bytes) -> str | None:
    """Why a file that begins like this is not the text that was wanted; None if it may be."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "is UTF-16; save it as UTF-8"
    return "is binary; UTF-8 text is wanted" if b"\0" in head else None


def too_long(max_bytes: int = MAX_ROW_BYTES) -> str:
    """What is wrong with a line whose data are None."""
    return f"is longer than {max_bytes / (1 << 20):g} MiB, which no row of a dialogue is; it was skipped"


def _read(handle: BinaryIO, num_bytes: int) -> tuple[int, int, bytes]:
    """Read past `num_bytes` in chunks: how many there were, the line breaks among them, the last byte."""
    size, breaks, last = 0, 0, b""
    while size < num_bytes and (chunk := handle.read(min(CHUNK_BYTES, num_bytes - size))):
        size, breaks, last = size + len(chunk), breaks + chunk.count(b"\n"), chunk[-1:]
    return size, breaks, last


def _skip_line(handle: BinaryIO) -> int:
    skipped = 0
    while chunk := handle.readline(CHUNK_BYTES):
        skipped += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return skipped
