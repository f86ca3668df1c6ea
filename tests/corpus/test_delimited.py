from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.corpus import delimited
from pe_ray.corpus.row import Fault


def rows(tmp_path: Path, data: bytes, suffix: str = ".csv") -> list[tuple[int, object]]:
    """Line and cells (or what is wrong), after checking that any pieces give the same."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    found = list(delimited.rows(str(path)))
    for piece_bytes in (1, 9, 40, 10**6):
        spans = list(delimited.pieces(str(path), piece_bytes))
        assert sum(size for _, size, _ in spans) == len(data)
        assert [c for start, size, line in spans for c in delimited.rows(str(path), start, line, size)] == found
    return [(c.line, c.fault or c.values) for c in found]


def test_quoted_cells_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    data = b'q,a\r\n"one, two","say ""hi""\r\nagain"\r\nplain,end\r\n'
    assert rows(tmp_path, data) == [(2, ["one, two", 'say "hi"\r\nagain']), (4, ["plain", "end"])]


def test_na_stays_a_text_and_blank_rows_are_passed_over(tmp_path: Path) -> None:
    assert rows(tmp_path, b"q,a\n\nn/a,NaN\n,\nnull,None\n") == [(3, ["n/a", "NaN"]), (5, ["null", "None"])]


def test_an_open_quote_costs_its_own_line_and_no_other(tmp_path: Path) -> None:
    found = rows(tmp_path, b'q,a\n1,"never closed\n2,"fine"\n3,fine\n')
    assert [line for line, _ in found] == [2, 3, 4]
    assert "quote" in str(found[0][1])
    assert [cells for _, cells in found[1:]] == [["2", "fine"], ["3", "fine"]]


def test_an_open_quote_at_the_end_swallows_nothing(tmp_path: Path) -> None:
    found = rows(tmp_path, b'q,a\n1,x\n2,"cut off he')
    assert found[0] == (2, ["1", "x"])
    assert "quote" in str(found[1][1])


def test_a_quote_inside_a_plain_cell_is_text(tmp_path: Path) -> None:
    assert rows(tmp_path, b'q,a\n5" nail,he said "no"\n') == [(2, ['5" nail', 'he said "no"'])]


def test_a_tsv_without_quoting_is_read_as_it_stands(tmp_path: Path) -> None:
    data = b'text\tlabel\n"opened\t1\nplain\t2\nclosed"\t3\n"whole"\t4\n'
    assert rows(tmp_path, data, ".tsv") == [
        (2, ['"opened', "1"]),
        (3, ["plain", "2"]),
        (4, ['closed"', "3"]),
        (5, ["whole", "4"]),
    ]


def test_a_row_of_another_width_says_so_and_not_what_it_holds(tmp_path: Path) -> None:
    assert rows(tmp_path, b"q,a\n1,2,secret\n3\n") == [
        (2, "has 3 cells; the header has 2"),
        (3, "has 1 cells; the header has 2"),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_the_one_of_the_header(tmp_path: Path, delimiter: str) -> None:
    data = f"q{delimiter}a\none, two{delimiter}b\n".encode()
    assert rows(tmp_path, data) == [(2, ["one, two", "b"])]


def test_mixed_encodings_cost_the_rows_that_are_not_utf8(tmp_path: Path) -> None:
    data = "q,a\n1,é\n".encode() + "2,é\n".encode("cp1252") + b'3,"ok\nline \xff"\n4,x\n'
    found = rows(tmp_path, data)
    assert [line for line, _ in found] == [2, 3, 4, 6]
    assert "byte 2 of line 3 is not UTF-8" in str(found[1][1])
    assert "line 5 is not UTF-8" in str(found[2][1])


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfq,a\n1,2\n")
    assert delimited.header(str(tmp_path / "a.csv")) == ["q", "a"]


@pytest.mark.parametrize("data", [b"", b"q,a\n", b"\n\n"])
def test_a_file_without_rows_has_none(tmp_path: Path, data: bytes) -> None:
    assert not rows(tmp_path, data)


def test_a_broken_header_is_a_fault_and_not_the_next_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'"q,a\n1,2\n')
    with pytest.raises(Fault, match="header: opens a quote"):
        delimited.header(str(tmp_path / "a.csv"))


def test_a_huge_cell_is_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_LINES", 3)
    found = rows(tmp_path, b'q,a\n1,"runs\non\nand\non\nand\non"\n2,x\n')
    assert found[-1] == (8, ["2", "x"])
    assert all(isinstance(fault, str) for _, fault in found[:-1])
