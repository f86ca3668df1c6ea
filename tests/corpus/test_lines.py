from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest

from pe_ray.corpus.lines import lines, no_text, pieces, too_long

TEXT = b"one\ntwo\r\n\nlast"


def test_lines_know_where_they_stood() -> None:
    found = list(lines(io.BytesIO(TEXT)))
    assert [(n.number, n.start, n.size, n.data) for n in found] == [
        (1, 0, 4, b"one\n"),
        (2, 4, 5, b"two\r\n"),
        (3, 9, 1, b"\n"),
        (4, 10, 4, b"last"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    (line,) = lines(io.BytesIO(b"\xef\xbb\xbfword"))
    assert (line.data, line.size) == (b"word", 7)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_past_the_bound_is_skipped_and_the_next_is_read(end: bytes) -> None:
    found = list(lines(io.BytesIO(b"ok\n" + b"x" * 50 + end + (b"ok\n" if end else b"")), max_bytes=10))
    assert [(n.number, n.data is None) for n in found] == [(1, False), (2, True), (3, False)][: len(found)]
    assert len(found) == (3 if end else 2)


def test_a_line_of_just_the_bound_is_held() -> None:
    assert [n.data for n in lines(io.BytesIO(b"x" * 10 + b"\n"), max_bytes=10)] == [b"x" * 10 + b"\n"]


def test_a_huge_line_is_never_held(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as out:
        for _ in range(64):
            out.write(b"x" * (1 << 20))
        out.write(b"\nok\n")
    tracemalloc.start()
    with path.open("rb") as handle:
        found = list(lines(handle, max_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [n.data for n in found] == [None, b"ok\n"]
    assert peak < 8 << 20


@pytest.mark.parametrize("piece_bytes", [1, 3, 5, 7, 100])
def test_pieces_are_whole_lines_and_lose_none(piece_bytes: int) -> None:
    handle = io.BytesIO(TEXT)
    found = [n for start, size, number in pieces(handle, piece_bytes) for n in lines(handle, start, number, size)]
    assert found == list(lines(handle))


def test_nothing_has_no_lines_and_no_pieces() -> None:
    assert not list(lines(io.BytesIO(b"")))
    assert not list(pieces(io.BytesIO(b""), 10))


def test_what_is_no_text_is_told_by_its_beginning() -> None:
    assert no_text(b"words") is None
    assert "UTF-16" in str(no_text("é".encode("utf-16")))
    assert "binary" in str(no_text(b"PAR1\0"))
    assert "16 MiB" in too_long()
