from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pe_ray.corpus.knowledge import ontology_csv
from pe_ray.corpus.knowledge.entry import Entry, Problem, identifier

Read = Callable[..., list[Entry | Problem]]
HEAD = (
    "ID,Label,Definition,Parent,Synonyms,Informal definition,Examples of usage,Comment,Sub-ontology,Curation status\n"
)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def _read(text: str | bytes, name: str = "lamps.csv") -> list[Entry | Problem]:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return list(ontology_csv.read(str(path), name))

    return _read


def test_a_row_becomes_a_concept(read: Read) -> None:
    told = "LMP:0002,lantern ,A <lamp> that is carried.,lamp [LMP:0001],hand lamp; Lantern"
    (entry,) = read(f"{HEAD}{told},Light on the go,miners,!,Lamps,Published\n")
    assert isinstance(entry, Entry)
    assert entry.metadata["concept_id"] == "LMP:0002"
    assert (entry.metadata["name"], entry.metadata["category"]) == ("lantern", "lamps")
    assert entry.metadata["definition"] == "A lamp that is carried."
    assert json.loads(entry.metadata["parents"]) == ["lamp"]
    assert json.loads(entry.metadata["synonyms"]) == ["hand lamp"]
    assert "In plain words: Light on the go" in entry.answer
    assert "For example: miners" in entry.answer
    assert entry.offset == 2


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("Term,Meaning\nwick,a cord\n", "a.csv"),
        ("\ufeffterm\tmeaning\nwick\ta cord\n", "a.tsv"),
        ("Preferred term;Description\nwick;a cord\n", "a.csv"),
        ("rdfs:label,IAO_0000115\r\nwick,a cord\r\n", "a.csv"),
        ('"REL x [RO:1]",LABEL,DEFINITION [IAO:0000115]\n,"wick","a cord"\n', "a.csv"),
    ],
)
def test_columns_are_found_however_they_are_written(read: Read, text: str, uri: str) -> None:
    (entry,) = read(text, uri)
    assert isinstance(entry, Entry)
    assert entry.metadata["concept_id"] == identifier("term", "Wick")
    assert entry.answer == "Wick: a cord"


def test_rows_that_are_obsolete_are_left_out_and_counted(read: Read) -> None:
    entry, problem = read("term,meaning,status\nwick,a cord,\ntorch,gone,Obsolete\n")
    assert isinstance(entry, Entry)
    assert isinstance(problem, Problem)
    assert problem.reason == "1 of 2 rows are marked obsolete; left out (line 3)"


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ("wick,", "definition", "empty"),
        ("wick", "row", "has 1 cells"),
        (",a cord", "label", "empty"),
        ("wick,a cord,and more", "row", "has 3 cells"),
        ("wick,a \0 cord", "row", "NUL"),
        ('wick,"a cord" here', "row", "quote"),
        ('wick,"never closed', "row", "quote"),
        (f"wick,{'x' * 140_000}", "definition", "20000 characters"),
    ],
)
def test_a_row_that_cannot_be_read_says_where_and_the_next_is_read(read: Read, row: str, field: str, says: str) -> None:
    found = read(f"term,meaning\nflame,what burns\n{row}\n")
    assert isinstance(found[0], Entry)
    assert isinstance(found[1], Problem)
    assert (len(found), found[1].line, found[1].field) == (2, 3, field)
    assert says in found[1].reason
    assert "cord" not in found[1].reason


def test_a_line_in_another_encoding_spoils_no_other(read: Read) -> None:
    flame, problem, glass = read(b"term,meaning\nflame,what burns\nwick,a c\xf6rd\nglass,clear\n")
    assert isinstance(flame, Entry)
    assert isinstance(glass, Entry)
    assert isinstance(problem, Problem)
    assert (problem.line, problem.field) == (3, "row")
    assert "not UTF-8" in problem.reason


def test_a_quoted_cell_may_hold_lines(read: Read) -> None:
    wick, flame = read('term,meaning\nwick,"a cord\nof cotton"\nflame,what burns\n')
    assert isinstance(wick, Entry)
    assert isinstance(flame, Entry)
    assert (wick.offset, flame.offset) == (2, 4)
    assert wick.metadata["definition"] == "a cord\nof cotton"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("a,b\n1,2\n", "label"),
        ("term,b\n1,2\n", "definition"),
        ("term,meaning\nwick,a cord\n".encode("utf-16"), "header"),
        (b"\xff\xfe\xfd,x\n", "header"),
    ],
)
def test_a_table_without_the_columns(read: Read, text: str | bytes, field: str) -> None:
    (problem,) = read(text)
    assert isinstance(problem, Problem)
    assert (problem.field, problem.line) == (field, 1)


def test_a_table_with_no_row_says_so(read: Read) -> None:
    (problem,) = read("term,meaning\n")
    assert isinstance(problem, Problem)
    assert problem.line == 0
