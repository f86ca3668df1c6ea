from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Unreadable
from pe_ray.corpus.sources import psychology as source
from pe_ray.record import Record
from tests.corpus.write import concept, jsonl, scenes

SCENE = next(scenes(1))


def one(tmp_path: Path, row: dict) -> Record | Unreadable:
    (found,) = source.read(SourceSpec(kind="psychology", path=str(jsonl(tmp_path / "a.jsonl", [row]))))
    return found


def test_a_concept_becomes_a_record(tmp_path: Path) -> None:
    row = concept(SCENE, related=["Grounding ", "shame, guilt", "grounding"])
    record = one(tmp_path, row)
    assert isinstance(record, Record)
    assert (record.domain, record.content_type) == ("psychology", "knowledge")
    assert record.messages[1].text == "\n\n".join([row["definition"], row["clinical_use"], row["example"]])
    assert record.metadata["related"] == "grounding,shame,guilt"
    assert record.metadata["question"] == "contextual"


@pytest.mark.parametrize(
    "name", ["concept_id", "name", "category", "question", "definition", "clinical_use", "example"]
)
def test_every_key_is_needed(tmp_path: Path, name: str) -> None:
    row = concept(SCENE)
    del row[name]
    found = one(tmp_path, row)
    assert isinstance(found, Unreadable)
    assert found.field == name
