from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Unreadable
from pe_ray.corpus.sources import standard as source
from pe_ray.record import Record
from tests.corpus.write import jsonl, qa, scenes, statement

SCENE = next(scenes(1))


def read(tmp_path: Path, *rows: dict) -> list[Record | Unreadable]:
    return list(source.read(SourceSpec(kind="standard", path=str(jsonl(tmp_path / "a.jsonl", list(rows))))))


def test_the_two_shapes_may_stand_in_one_file(tmp_path: Path) -> None:
    asked, said = read(tmp_path, qa(SCENE), statement(SCENE))
    assert isinstance(asked, Record)
    assert isinstance(said, Record)
    assert (asked.domain, said.domain) == ("general_therapeutic", "bias_detection")
    assert asked.content_type == said.content_type == "qa"


def test_topics_are_a_list_however_they_were_written(tmp_path: Path) -> None:
    (record,) = read(tmp_path, qa(SCENE, topics="Sleep , worry,sleep"))
    assert isinstance(record, Record)
    assert record.metadata["topics"] == "sleep,worry"


def test_a_statement_ends_with_the_respectful_answer_and_keeps_its_swap_apart(tmp_path: Path) -> None:
    row = statement(SCENE, biased=False)
    (record,) = read(tmp_path, row)
    assert isinstance(record, Record)
    assert record.messages[0].text == row["statement"]
    assert record.messages[1].text.rpartition("\n\n")[2] == row["respectful_answer"]
    assert record.metadata["biased"] == "false"
    assert record.metadata["swapped_statement"] == row["swapped_statement"]
    assert row["swapped_statement"] not in record.messages[1].text


def test_true_and_false_may_be_words_as_in_a_table(tmp_path: Path) -> None:
    (record,) = read(tmp_path, statement(SCENE, biased=" False "))
    assert isinstance(record, Record)
    assert record.metadata["biased"] == "false"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"topics": []}, "question"),
        ({"question": "Why?"}, "answer"),
        ({"answer": "So."}, "question"),
        (qa(SCENE, topics=[1]), "topics"),
        (statement(SCENE, biased="yes"), "biased"),
        (statement(SCENE, biased=1), "biased"),
        ({k: v for k, v in statement(SCENE).items() if k != "swapped_statement"}, "swapped_statement"),
    ],
)
def test_a_row_that_is_wrong_names_its_field(tmp_path: Path, row: dict, field: str) -> None:
    (found,) = read(tmp_path, row)
    assert isinstance(found, Unreadable)
    assert found.field == field
