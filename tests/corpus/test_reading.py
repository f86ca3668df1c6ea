from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.lines import MAX_ROW_BYTES
from pe_ray.corpus.reading import ReadPlan, Unreadable, cut, origin, read_text
from pe_ray.errors import SourceError
from pe_ray.record import Record
from tests.corpus.write import edge_case, jsonl, scenes

SCENE = next(scenes(1))


def spec(path: Path | str) -> SourceSpec:
    return SourceSpec(kind="edge_case", path=str(path))


def read(path: Path | str) -> tuple[list[Record], list[Unreadable]]:
    found = list(sources.read(spec(path)))
    return [r for r in found if isinstance(r, Record)], [u for u in found if isinstance(u, Unreadable)]


def test_a_missing_path_is_one_line_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"corpus\.sources edge_case: path=.*nowhere.*no such file"):
        read(tmp_path / "nowhere")


def test_a_folder_without_its_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(SourceError, match=r"holds no \*\.jsonl or \.json or \.txt file"):
        read(tmp_path)


def test_the_data_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jsonl(tmp_path / "set/a.jsonl", [edge_case(SCENE)])
    monkeypatch.setenv("PE_RAY_DATA", str(tmp_path))
    records, _ = read("${PE_RAY_DATA}/set")
    assert [r.uri for r in records] == ["a.jsonl"]


def test_files_are_sorted_and_named_from_the_root_of_their_source(tmp_path: Path) -> None:
    for name in ("z.jsonl", "a/b.jsonl", "a.jsonl"):
        jsonl(tmp_path / name, [edge_case(SCENE)])
    assert [f.uri for f in sources.plan(spec(tmp_path)).files] == ["a.jsonl", "a/b.jsonl", "z.jsonl"]
    assert [f.uri for f in sources.plan(spec(tmp_path / "z.jsonl")).files] == ["z.jsonl"]


def test_the_same_data_has_the_same_ids_wherever_it_lies(tmp_path: Path) -> None:
    for root in ("here", "there/deeper"):
        jsonl(tmp_path / root / "a.jsonl", [edge_case(SCENE)])
    assert read(tmp_path / "here")[0][0].id == read(tmp_path / "there/deeper")[0][0].id


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (b'{"category": ', "line", "is not JSON"),
        (b"[1, 2]", "line", "is a list; a JSON object is wanted"),
        (b'{"category": "\xff"}', "line", "is not UTF-8"),
        (b'{"category": "\\ud800"}', "line", "half a surrogate pair"),
        (b"1" * 5000, "line", "cannot be held"),
        (b"{}", "category", "is missing"),
    ],
)
def test_a_bad_row_is_quarantined_with_its_line_and_the_rest_is_read(
    tmp_path: Path, row: bytes, field: str, reason: str
) -> None:
    path = jsonl(tmp_path / "a.jsonl", [edge_case(SCENE), "", edge_case(SCENE)])
    good = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(good[0] + b"\n" + row + b"\n" + good[2])
    records, unreadable = read(path)
    assert [r.offset for r in records] == [1, 4]
    assert [(u.uri, u.offset, u.field) for u in unreadable] == [("a.jsonl", 3, field)]
    assert reason in unreadable[0].reason


@pytest.mark.parametrize(("content", "reason"), [(b"\x89PNG\0\0", "is binary"), ("é".encode("utf-16"), "is UTF-16")])
def test_a_file_that_is_no_text_is_one_error(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content * 5000)
    records, unreadable = read(tmp_path)
    assert not records
    assert [(u.offset, u.field) for u in unreadable] == [(0, "file")]
    assert reason in unreadable[0].reason


def test_a_file_that_cannot_be_opened_is_one_error_among_readable_ones(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", [edge_case(SCENE)])
    (tmp_path / "b.jsonl").symlink_to("b.jsonl")  # a loop: unreadable for every user, root too
    records, unreadable = read(tmp_path)
    assert len(records) == 1
    assert [(u.uri, u.field) for u in unreadable] == [("b.jsonl", "file")]
    assert "cannot be opened" in unreadable[0].reason


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [edge_case(SCENE), edge_case(SCENE)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    records, unreadable = read(path)
    assert [r.offset for r in records] == [1, 2]
    assert not unreadable


def test_no_reason_repeats_what_a_row_says(tmp_path: Path) -> None:
    words = "canary words of a client"
    rows = [
        edge_case(SCENE, category=words),
        edge_case(SCENE, difficulty=words),
        edge_case(SCENE, client=[words]),
        edge_case(SCENE, domain=words),
        f'{{"client": "{words}',
    ]
    _, unreadable = read(jsonl(tmp_path / "a.jsonl", rows))
    assert len(unreadable) == len(rows)
    assert not any("canary" in str(u) for u in unreadable)


def test_pieces_of_a_file_hold_the_same_records_on_the_same_lines(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [*(edge_case(s) for s in scenes(30)), "broken", edge_case(SCENE)])
    whole = sources.plan(spec(path)).files[0]
    for piece_bytes in (1, 700, 5000, 10**6):
        pieces = cut(whole, piece_bytes)
        assert len(pieces) == (1 if piece_bytes == 10**6 else len({p.start for p in pieces}))
        assert list(sources.read(spec(path), ReadPlan(tuple(pieces)))) == list(sources.read(spec(path)))


def test_a_row_past_the_bound_is_skipped_and_named_by_its_line(tmp_path: Path) -> None:
    good = json.dumps(edge_case(SCENE)).encode()
    path = tmp_path / "a.jsonl"
    path.write_bytes(good + b"\n" + b'{"client": "' + b"x" * MAX_ROW_BYTES + b'"}\n' + good + b"\n")
    records, unreadable = read(path)
    assert [r.offset for r in records] == [1, 3]
    assert [(u.uri, u.offset, u.field) for u in unreadable] == [("a.jsonl", 2, "line")]
    assert "is longer than 16 MiB" in unreadable[0].reason
    (file,) = sources.plan(spec(path)).files
    pieces = cut(file, 1 << 20)
    assert [(p.first_line, p.size > MAX_ROW_BYTES) for p in pieces] == [(1, True), (3, False)]


def test_nul_and_mixed_encodings_cost_their_own_rows(tmp_path: Path) -> None:
    good = json.dumps(edge_case(SCENE), ensure_ascii=False).encode()
    rows = [good, good.replace(b"piano", "caf\xe9".encode("cp1252")), b'{"client": "\0"}', good]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([*rows, b" " * 9000]))  # a NUL in the first bytes would make it a binary file
    records, unreadable = read(path)
    assert not records
    assert "is binary" in unreadable[0].reason
    path.write_bytes(b"\n".join([b" " * 9000, *rows]))
    records, unreadable = read(path)
    assert [r.offset for r in records] == [2, 5]
    assert [u.offset for u in unreadable] == [3, 4]


def test_an_empty_file_is_an_error_and_a_folder_of_them_too(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).touch()
    records, unreadable = read(tmp_path)
    assert not records
    assert [(u.uri, u.offset, u.field, u.reason) for u in unreadable] == [
        ("a.jsonl", 0, "file", "is empty; rows are wanted"),
        ("b.jsonl", 0, "file", "is empty; rows are wanted"),
    ]


def test_the_same_row_twice_has_two_ids_and_the_same_file_twice_the_same(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [edge_case(SCENE), edge_case(SCENE)])
    first, second = (r.id for r in read(path)[0])
    assert first != second
    assert [r.id for r in read(tmp_path)[0]] == [first, second]


def test_values_fill_what_a_row_does_not_say(tmp_path: Path) -> None:
    rows = [edge_case(SCENE, difficulty="high"), {k: v for k, v in edge_case(SCENE).items() if k != "difficulty"}]
    told = SourceSpec(kind="edge_case", path=str(jsonl(tmp_path / "a.jsonl", rows)), values={"difficulty": "very_high"})
    found = [r.metadata["difficulty"] for r in sources.read(told) if isinstance(r, Record)]
    assert found == ["high", "very_high"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("[1, 2]", "holds no single list of objects"),
        ('{"a": [{}], "b": [{}]}', "holds no single list of objects"),
        ('"words"', "holds no single list of objects"),
        ("[{]", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_a_json_document_without_rows_is_one_error(tmp_path: Path, document: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(document)
    records, unreadable = read(tmp_path)
    assert not records
    assert [(u.uri, u.offset, u.field) for u in unreadable] == [("a.json", 0, "file")]
    assert reason in unreadable[0].reason


def test_a_json_document_is_a_list_of_rows_alone_or_in_an_object(tmp_path: Path) -> None:
    rows = [edge_case(SCENE), {}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps({"name": "a set", "rows": rows}))
    records, unreadable = read(tmp_path)
    assert [(r.uri, r.offset) for r in records] == [("a.json", 1), ("b.json", 1)]
    assert [(u.uri, u.offset, u.field) for u in unreadable] == [("a.json", 2, "category"), ("b.json", 2, "category")]


def test_a_text_past_the_bound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 100)
    (file,) = sources.plan(spec(tmp_path / "a.txt")).files
    found = read_text(spec(tmp_path), file, max_bytes=10)
    assert isinstance(found, Unreadable)
    assert "cut it into several files" in found.reason


def test_a_form_that_its_reader_takes_whole_is_never_cut(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("user: a\nagent: b\n" * 100)
    (file,) = sources.plan(spec(tmp_path)).files
    assert cut(file, 10) == [file]


def test_licence_and_attribution_are_the_specs_or_what_we_know() -> None:
    assert origin(SourceSpec(kind="voice"))["licence"] == "Apache-2.0"
    assert origin(SourceSpec(kind="voice", path="/somewhere"))["licence"] == "unstated"
    given = SourceSpec(kind="voice", path="/somewhere", licence="CC-BY-4.0", attribution="A. Author")
    assert origin(given) == {"licence": "CC-BY-4.0", "attribution": "A. Author"}
