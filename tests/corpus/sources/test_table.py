from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.reading import ReadPlan, Unreadable, cut, resolve
from pe_ray.errors import SourceError
from pe_ray.record import Record
from tests.corpus.write import dialogue, edge_case, jsonl, scenes

COLUMNS = {"question": ("title", "text"), "answer": "reply", "topics": "topics"}
ROWS = [
    {"title": "Sleep", "text": "Why do I lie awake?", "reply": "What happened at ten?", "topics": "Sleep, worry"},
    {"title": "Sleep", "text": "Sleep", "reply": "n/a", "topics": ""},
    {"title": "", "text": "", "reply": "Nobody asked.", "topics": "none"},
    {"title": "Work", "text": "", "reply": "What would you rather do?", "topics": ""},
]


def spec(path: Path, **over: Any) -> SourceSpec:
    told = {"kind": "table", "path": str(path), "becomes": "standard", "columns": COLUMNS}
    return SourceSpec.model_validate(told | over)


def read(path: Path, **over: Any) -> tuple[list[Record], list[Unreadable]]:
    found = list(sources.read(spec(path, **over)))
    return [r for r in found if isinstance(r, Record)], [u for u in found if isinstance(u, Unreadable)]


def csv(path: Path, rows: list[dict[str, str]]) -> Path:
    lines = [",".join(rows[0]), *(",".join(f'"{v}"' for v in row.values()) for row in rows)]
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path


def saved(path: Path, rows: list[dict[str, Any]], **state: Any) -> Path:
    """A folder as `datasets` saves one: a stream of record batches and a state that names it."""
    path.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(path / "data-00000-of-00001.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=3)
    told = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], **state}
    (path / "state.json").write_text(json.dumps(told))
    (path / "dataset_info.json").write_text("{}")
    return path


def written(folder: Path, form: str) -> Path:
    writers = {"csv": csv, "parquet": parquet, "jsonl": jsonl, "saved": saved}
    return writers[form](folder / f"a.{form}", ROWS)


@pytest.mark.parametrize(("form", "first"), [("csv", 2), ("jsonl", 1), ("parquet", 1), ("saved", 1)])
def test_the_same_rows_make_the_same_records_in_every_form(tmp_path: Path, form: str, first: int) -> None:
    records, unreadable = read(written(tmp_path, form))
    assert [[m.text for m in r.messages] for r in records] == [
        ["Sleep\n\nWhy do I lie awake?", "What happened at ten?"],
        ["Sleep", "n/a"],
        ["Work", "What would you rather do?"],
    ]
    assert [r.metadata["topics"] for r in records] == ["sleep,worry", "", ""]
    assert [r.offset for r in records] == [first, first + 1, first + 3]
    assert [(u.source, u.offset, u.field, u.reason) for u in unreadable] == [
        ("standard", first + 2, "question", "is empty in title, text")
    ]


def test_values_are_the_same_in_every_row_and_columns_come_first(tmp_path: Path) -> None:
    records, _ = read(written(tmp_path, "csv"), values={"domain": "mental_health", "topics": "other"})
    assert {r.domain for r in records} == {"mental_health"}
    assert [r.metadata["topics"] for r in records] == ["sleep,worry", "other", "other"]


def test_rows_may_become_edge_cases_with_lists_written_as_json(tmp_path: Path) -> None:
    row = edge_case(next(scenes(1)), expected_challenges=["silence", "doubt"])
    plain = {k: json.dumps(v).replace('"', '""') if isinstance(v, list) else v for k, v in row.items()}
    same = {k: k for k in row if k != "category"}
    over = {"becomes": "edge_case", "columns": same, "values": {"category": "suicidality"}}
    (record,), unreadable = read(csv(tmp_path / "a.csv", [plain]), **over)
    assert not unreadable
    assert record.metadata["category"] == "suicidality"
    assert json.loads(record.metadata["expected_challenges"]) == ["silence", "doubt"]


def test_nested_columns_may_become_dialogues(tmp_path: Path) -> None:
    row = {**dialogue(next(scenes(1))), "dialogue_id": 17}
    over = {"becomes": "dual_persona", "columns": {k: k for k in ("dialogue_id", "personas", "turns", "topic")}}
    (record,), unreadable = read(parquet(tmp_path / "a.parquet", [row]), **over)
    assert not unreadable
    assert (record.source, record.metadata["dialogue_id"]) == ("dual_persona", "17")


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_pieces_hold_the_same_records_as_the_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    rows = [{**ROWS[0], "text": f"Line one\nand, line {i}"} for i in range(20)]
    {"csv": csv, "parquet": parquet, "jsonl": jsonl}[form](path, rows)
    (file,) = sources.plan(spec(path)).files
    whole = list(sources.read(spec(path)))
    for piece_bytes in (1, 300):
        pieces = cut(file, piece_bytes)
        assert len(pieces) > 1
        assert sum(p.size for p in pieces) == file.size
        assert list(sources.read(spec(path), ReadPlan(tuple(pieces)))) == whole


def test_another_header_is_part_of_what_a_piece_is(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv", ROWS)
    (file,) = sources.plan(spec(tmp_path)).files
    assert "reply" in cut(file, 10)[1].context


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "saved"])
def test_a_column_that_is_not_there_is_one_line_for_the_source(tmp_path: Path, form: str) -> None:
    with pytest.raises(SourceError, match=r"has no column 'titel'; there is title") as error:
        read(written(tmp_path, form), columns={**COLUMNS, "question": "titel"})
    assert len(error.value.problems) == 1


def test_a_header_that_may_be_a_row_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("I feel sad today,Tell me more\n")
    with pytest.raises(SourceError, match=r"has no column 'title'; it has 2 others"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"columns": {"qestion": "title"}}, r"standard has no field 'qestion'; there is question"),
        ({"values": {"colour": "red"}}, r"standard has no field 'colour'"),
    ],
)
def test_a_field_that_the_source_does_not_have_is_one_line(tmp_path: Path, over: dict[str, Any], reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        read(written(tmp_path, "csv"), **over)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,text,reply,topics,title\n1,2,3,4,5\n")
    with pytest.raises(SourceError, match="has two columns 'title'"):
        read(tmp_path)


def test_a_datasets_folder_is_read_without_its_caches_and_splits_keep_their_names(tmp_path: Path) -> None:
    for split in ("train", "test"):
        saved(tmp_path / split, ROWS[:1])
        (tmp_path / split / "cache-1.arrow").write_bytes(b"rubbish")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    records, unreadable = read(tmp_path)
    assert [r.uri.partition("/")[0] for r in records] == ["test", "train"]
    assert not unreadable


def test_a_datasets_folder_whose_rows_are_selected_by_an_index_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a", ROWS, _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(SourceError, match=r"selects rows by an index; call flatten_indices\(\)"):
        read(tmp_path)


def test_what_datasets_itself_saves_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).shuffle(seed=1).select([0, 1]).save_to_disk(str(tmp_path / "a"))
    records, unreadable = read(tmp_path)
    assert len(records) + len(unreadable) == 2


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("b.csv", b"", "is empty"),
        ("b.jsonl", b"", "is empty"),
        ("b.parquet", b"", "cannot be opened, or is damaged"),
        ("b.parquet", b"PAR1 and then nothing PAR1", "cannot be opened, or is damaged"),
        ("b.arrow", b"rubbish", "cannot be opened, or is damaged"),
        ("b.csv", b"\x89PNG\0\0", "is binary"),
        ("b.csv", "é,b\n".encode("utf-16"), "is UTF-16"),
        ("b.csv", b'"title,text\n1,2\n', "opens a quote"),
    ],
)
def test_a_damaged_file_is_one_error_among_readable_ones(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    csv(tmp_path / "a.csv", ROWS)
    (tmp_path / name).write_bytes(content)
    records, unreadable = read(tmp_path)
    assert len(records) == 3
    assert [u.uri for u in unreadable if u.uri == name] == [name]
    assert reason in unreadable[-1].reason


def test_a_parquet_file_that_breaks_off_says_where(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", [{**ROWS[0], "text": f"{i} {'why ' * 500}"} for i in range(6)])
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    records, unreadable = read(path)
    assert len(records) == 2
    assert [(u.offset, u.field) for u in unreadable] == [(2, "file")]
    assert "is damaged after row 2" in unreadable[0].reason


def test_a_row_past_the_bound_is_one_error(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", [ROWS[0], {**ROWS[0], "text": "x" * ((16 << 20) + 1)}, ROWS[0]])
    records, unreadable = read(path)
    assert [r.offset for r in records] == [1, 3]
    assert [(u.offset, u.field) for u in unreadable] == [(2, "row")]


def test_numbers_dates_and_missing_cells_are_told_apart(tmp_path: Path) -> None:
    rows = [{"title": 7, "text": float("nan"), "reply": "yes", "topics": ["a", "B"]}, {"title": None, "reply": "x"}]
    records, unreadable = read(parquet(tmp_path / "a.parquet", rows))
    assert [(r.messages[0].text, r.metadata["topics"]) for r in records] == [("7", "a,b")]
    assert [u.offset for u in unreadable] == [2]


@pytest.mark.parametrize(("file", "topics"), [("counselchat_2020.csv", "topic"), ("counselchat_2022.csv", "topics")])
def test_the_public_answers_are_read(file: str, topics: str) -> None:
    over = {"columns": {"question": ("questionTitle", "questionText"), "answer": "answerText", "topics": topics}}
    told = spec(Path("${PE_RAY_DATA}/standard/counselchat") / file, **over)
    if not resolve(told).exists():
        pytest.skip("PE_RAY_DATA holds no CounselChat")
    found = list(sources.read(told))
    assert sum(isinstance(r, Record) for r in found) > 0.99 * len(found)
    assert all(u.field == "question" for u in found if isinstance(u, Unreadable))
