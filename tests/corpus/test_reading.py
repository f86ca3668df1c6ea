from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.reading import ReadPlan, Unreadable, cut, origin
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
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceError, match=r"holds no \*\.jsonl file"):
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


def test_licence_and_attribution_are_the_specs_or_what_we_know() -> None:
    assert origin(SourceSpec(kind="voice"))["licence"] == "Apache-2.0"
    assert origin(SourceSpec(kind="voice", path="/somewhere"))["licence"] == "unstated"
    given = SourceSpec(kind="voice", path="/somewhere", licence="CC-BY-4.0", attribution="A. Author")
    assert origin(given) == {"licence": "CC-BY-4.0", "attribution": "A. Author"}
