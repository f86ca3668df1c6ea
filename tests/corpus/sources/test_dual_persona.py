from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Unreadable
from pe_ray.corpus.sources import dual_persona as source
from pe_ray.record import Record
from tests.corpus.write import dialogue, jsonl, scenes

SCENE = next(scenes(1))
CARDS = dialogue(SCENE)["personas"]


def one(tmp_path: Path, **over: object) -> Record | Unreadable:
    path = jsonl(tmp_path / "a.jsonl", [dialogue(SCENE, **over)])
    (found,) = source.read(SourceSpec(kind="dual_persona", path=str(path)))
    return found


def turns(*speakers: str) -> list[dict[str, str]]:
    return [{"speaker": s, "text": f"words {i}"} for i, s in enumerate(speakers)]


def test_who_speaks_first_is_the_user_and_both_cards_are_kept(tmp_path: Path) -> None:
    record = one(tmp_path, turns=turns("Mara", "Ivo", "Mara"))
    assert isinstance(record, Record)
    assert [m.role for m in record.messages] == ["user", "assistant", "user"]
    assert (record.metadata["user"], record.metadata["assistant"]) == ("Mara", "Ivo")
    assert [c["name"] for c in json.loads(record.metadata["personas"])] == ["Ivo", "Mara"]


@pytest.mark.parametrize(
    ("over", "field", "reason"),
    [
        ({"personas": CARDS[:1]}, "personas", "holds 1; exactly two"),
        ({"personas": [*CARDS, CARDS[0]]}, "personas", "holds 3"),
        ({"personas": [CARDS[0], CARDS[0]]}, "personas", "the same name"),
        ({"personas": [CARDS[0], {**CARDS[1], "age": "thirty"}]}, "personas.age", "whole number"),
        ({"personas": [CARDS[0], {k: v for k, v in CARDS[1].items() if k != "role"}]}, "role", "is missing"),
        ({"personas": "Ivo and Mara"}, "personas", "no list of objects"),
        ({"turns": turns("Ivo", "Zoe")}, "turns.speaker", "turn 2 is by somebody who has no persona card"),
        ({"turns": turns("Ivo", "Mara", "Mara")}, "turns.speaker", "turns 2 and 3 are by one speaker"),
        ({"turns": turns("Ivo")}, "turns", "at least two"),
        ({"turns": [{"speaker": "Ivo", "text": "hi"}, {"speaker": "Mara", "text": " "}]}, "text", "is empty"),
        ({"turns": None}, "turns", "no list of objects"),
    ],
)
def test_a_dialogue_that_is_wrong_says_how(tmp_path: Path, over: dict, field: str, reason: str) -> None:
    found = one(tmp_path, **over)
    assert isinstance(found, Unreadable)
    assert found.field == field
    assert reason in found.reason
