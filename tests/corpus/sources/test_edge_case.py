from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Unreadable
from pe_ray.corpus.sources import edge_case as source
from pe_ray.record import Record
from tests.corpus.write import edge_case, jsonl, scenes

SCENE = next(scenes(1))


def one(tmp_path: Path, row: dict) -> Record | Unreadable:
    (found,) = source.read(SourceSpec(kind="edge_case", path=str(jsonl(tmp_path / "a.jsonl", [row]))))
    return found


def test_there_are_25_categories() -> None:
    assert len(source.CATEGORIES) == 25
    assert set(source.CATEGORIES.values()) == set(source.DIFFICULTIES)


def test_a_scenario_becomes_a_record(tmp_path: Path) -> None:
    record = one(tmp_path, edge_case(SCENE, category=" Therapy_Resistance ", difficulty="high"))
    assert isinstance(record, Record)
    assert [m.role for m in record.messages] == ["user", "assistant"]
    assert (record.source, record.domain, record.content_type) == ("edge_case", "mental_health", "edge_case")
    assert (record.metadata["category"], record.metadata["difficulty"]) == ("therapy_resistance", "high")
    assert json.loads(record.metadata["expected_challenges"]) == ["silence"]


def test_a_row_may_name_another_domain(tmp_path: Path) -> None:
    record = one(tmp_path, edge_case(SCENE, domain="psychology"))
    assert isinstance(record, Record)
    assert record.domain == "psychology"


@pytest.mark.parametrize(
    ("over", "field", "reason"),
    [
        ({"category": "mania_episode"}, "category", "did you mean 'manic_episode'?"),
        ({"category": "zzz"}, "category", "one of suicidality"),
        ({"difficulty": "extreme"}, "difficulty", "one of moderate, high, very_high"),
        ({"client": ""}, "client", "is empty"),
        ({"client": "  "}, "client", "is empty"),
        ({"therapist": 7}, "therapist", "is a number; text is wanted"),
        ({"therapist": None}, "therapist", "is null"),
        ({"expected_challenges": "silence"}, "expected_challenges", "is a text; a list of texts"),
        ({"domain": "cooking"}, "domain", "is not known"),
    ],
)
def test_a_row_that_is_wrong_says_how(tmp_path: Path, over: dict, field: str, reason: str) -> None:
    found = one(tmp_path, edge_case(SCENE, **over))
    assert isinstance(found, Unreadable)
    assert found.field == field
    assert reason in found.reason


def test_a_missing_key_points_at_a_near_one(tmp_path: Path) -> None:
    row = edge_case(SCENE)
    row["therpist"] = row.pop("therapist")
    found = one(tmp_path, row)
    assert isinstance(found, Unreadable)
    assert found.reason == "is missing (there is a key 'therpist'); text is wanted"
