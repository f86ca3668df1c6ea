from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Unreadable, resolve
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


HEADER = "user 1 personas,user 2 personas,Best Generated Conversation\n"
CHAT = "User 1: Hello, who are you?\r\nUser 2: A baker: bread, mostly.\r\nUser 2: And you?\r\nUser 1: I row boats.\r\n"


def chat(tmp_path: Path, *conversations: str, **over: object) -> list[Record | Unreadable]:
    rows = "".join(f'"I row.\nI sing.","I bake.","{c}"\n' for c in conversations)
    (tmp_path / "a.csv").write_bytes((HEADER + rows).encode())
    return list(source.read(SourceSpec.model_validate({"kind": "dual_persona", "path": str(tmp_path), **over})))


def test_a_chat_of_two_users_becomes_a_record_with_its_cards(tmp_path: Path) -> None:
    (record,) = chat(tmp_path, CHAT, values={"generated": "somewhere"})
    assert isinstance(record, Record)
    assert [(m.role, m.text) for m in record.messages] == [
        ("user", "Hello, who are you?"),
        ("assistant", "A baker: bread, mostly.\nAnd you?"),
        ("user", "I row boats."),
    ]
    assert json.loads(record.metadata["personas"]) == [
        {"name": "User 1", "statements": ["I row.", "I sing."]},
        {"name": "User 2", "statements": ["I bake."]},
    ]
    assert record.metadata["dialogue_id"] == "a.csv:2"
    assert record.metadata["generated"] == "somewhere"
    assert "truncated" not in record.metadata


@pytest.mark.parametrize(
    ("end", "truncated"), [("and then I", True), ("so,", True), ("bye :)", False), ("why?", False)]
)
def test_a_chat_that_stops_inside_a_sentence_is_marked(tmp_path: Path, end: str, truncated: bool) -> None:
    (record,) = chat(tmp_path, f"User 1: a\nUser 2: {end}")
    assert isinstance(record, Record)
    assert ("truncated" in record.metadata) == truncated


def test_bullets_before_a_speaker_do_no_harm(tmp_path: Path) -> None:
    (record,) = chat(tmp_path, "* * *\n* User 2: a.\n*User 1: b.")
    assert isinstance(record, Record)
    assert (record.metadata["user"], record.messages[0].text) == ("User 2", "a.")


@pytest.mark.parametrize(
    ("conversation", "field", "reason"),
    [
        ("", "Best Generated Conversation", "is empty"),
        ("Hello there\nUser 1: a\nUser 2: b", "turns", "line 1 stands before the first speaker"),
        ("User 1: a\nUser 1: b", "Best Generated Conversation", "no turns of both"),
        ("User 1: a\nUser 2:", "Best Generated Conversation", "no turns of both"),
    ],
)
def test_a_chat_that_is_wrong_says_how(tmp_path: Path, conversation: str, field: str, reason: str) -> None:
    found, good = chat(tmp_path, conversation, CHAT)
    assert isinstance(found, Unreadable)
    assert (found.offset, found.field) == (2, field)
    assert reason in found.reason
    assert isinstance(good, Record)


def test_a_csv_with_other_columns_says_so_in_each_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("one,two\n1,2\n")
    (found,) = source.read(SourceSpec(kind="dual_persona", path=str(tmp_path)))
    assert isinstance(found, Unreadable)
    assert (found.offset, found.field) == (2, "user 1 personas")


def test_the_same_dialogue_id_twice_is_two_records(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [dialogue(SCENE), dialogue(SCENE)])
    first, second = source.read(SourceSpec(kind="dual_persona", path=str(path)))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.metadata["dialogue_id"] == second.metadata["dialogue_id"]
    assert first.id != second.id


def test_the_public_chats_are_read(tmp_path: Path) -> None:
    spec = SourceSpec(kind="dual_persona", path="${PE_RAY_DATA}/dual_persona/synthetic_persona_chat")
    if not resolve(spec).exists():
        pytest.skip("PE_RAY_DATA holds no Synthetic-Persona-Chat")
    found = list(source.read(spec))
    assert sum(isinstance(r, Record) for r in found) > 0.99 * len(found)
