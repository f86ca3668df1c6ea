from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Unreadable, resolve
from pe_ray.corpus.sources import edge_case as source
from pe_ray.errors import SourceError
from pe_ray.record import Record
from tests.corpus.write import edge_case, jsonl, scenes

SCENE = next(scenes(1))
PERSONAS = "Name\tAge\tCurrent Risk Level\nWren\t30\tImminent\nTeo\t25\t None\n"
TALK = "user: I cannot sleep\r\n\r\nagent: What keeps you awake?\r\nSubject: nothing\r\n"


def read(folder: Path, **over: object) -> list[Record | Unreadable]:
    return list(source.read(SourceSpec.model_validate({"kind": "edge_case", "path": str(folder), **over})))


def talk(name: str, folder: Path, text: str = TALK) -> Path:
    path = folder / "runs" / f"{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    return path


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


def test_optional_fields_are_kept_and_others_take_no_room(tmp_path: Path) -> None:
    record = one(tmp_path, edge_case(SCENE, safety_protocol="call somebody", generated="template"))
    assert isinstance(record, Record)
    assert (record.metadata["safety_protocol"], record.metadata["generated"]) == ("call somebody", "template")
    assert "persona" not in record.metadata


def test_the_records_of_scenarios_are_those_of_the_first_version(tmp_path: Path) -> None:
    said = {
        "client": "Since Lisbon I have been restless about the piano, and the piano follows me to bed.",
        "therapist": "What happened with the piano at Lisbon? "
        "Being restless after it may be telling you what it was worth.",
    }
    record = one(tmp_path, edge_case(("piano", "Lisbon", "restless"), **said))
    assert isinstance(record, Record)
    assert record.id == "cc37f1f18fe7de2dfd0e6a90c1fa6126"
    assert set(record.metadata) == {"category", "difficulty", "purpose", "expected_challenges", "question"}


def test_a_persona_beside_the_files_tells_risk_category_and_difficulty(tmp_path: Path) -> None:
    (tmp_path / "personas.tsv").write_text(PERSONAS)
    talk("a1_Wren_m_run1", tmp_path)
    talk("b2_teo_m_run2", tmp_path)
    wren, teo = read(tmp_path)
    assert isinstance(wren, Record)
    assert isinstance(teo, Record)
    told = [(r.metadata["persona"], r.metadata["category"], r.metadata["difficulty"]) for r in (wren, teo)]
    assert told == [("Wren", "suicidality", "very_high"), ("teo", source.NO_CRISIS, "moderate")]
    assert wren.messages[1].text == "What keeps you awake?\nSubject: nothing"
    assert (wren.uri, wren.offset, wren.metadata["conversation"]) == ("runs/a1_Wren_m_run1.txt", 1, wren.uri)


def test_another_risk_is_part_of_what_a_file_is(tmp_path: Path) -> None:
    talk("a1_Wren_m_run1", tmp_path)
    plans = []
    for personas in (PERSONAS, PERSONAS.replace("Imminent", "Low")):
        (tmp_path / "personas.tsv").write_text(personas)
        plans += [f.context for f in source.plan(SourceSpec(kind="edge_case", path=str(tmp_path))).files]
    assert plans[0] != plans[1]


@pytest.mark.parametrize("table", ["Name\tAge\nWren\t3\n", PERSONAS.replace("Imminent", "a lot"), ""])
def test_a_personas_table_that_tells_no_risk_is_one_error(tmp_path: Path, table: str) -> None:
    (tmp_path / "personas.tsv").write_text(table)
    talk("a1_Wren_m_run1", tmp_path)
    with pytest.raises(SourceError, match=r"personas\.tsv: .*the columns Name and Current Risk Level"):
        read(tmp_path)


def test_without_a_persona_the_spec_says_category_and_difficulty(tmp_path: Path) -> None:
    talk("somebody", tmp_path)
    (found,) = read(tmp_path)
    assert isinstance(found, Unreadable)
    assert found.reason == "is told by no label of risk; give it under values: {category: ...} of the source"
    values = {"category": "grief_complicated", "difficulty": "high", "generated": "somewhere"}
    (record,) = read(tmp_path, values=values)
    assert isinstance(record, Record)
    assert {k: record.metadata[k] for k in values} == values


def test_a_long_conversation_is_cut_between_exchanges_and_stays_one_group(tmp_path: Path) -> None:
    said = "".join(f"user: {i} {'why ' * 1500}\nagent: {i} {'so ' * 1000}\n" for i in range(5)) + "user: bye\n"
    talk("long", tmp_path, said)
    records = [r for r in read(tmp_path, values={"category": "suicidality", "difficulty": "high"}) if r]
    assert all(isinstance(r, Record) for r in records)
    assert [r.metadata["window"] for r in records] == ["1 of 3", "2 of 3", "3 of 3"]
    assert [r.offset for r in records] == [1, 5, 9]
    assert {r.metadata["conversation"] for r in records} == {"runs/long.txt"}
    assert {r.metadata["unanswered_turns"] for r in records} == {"1"}
    assert [len(r.messages) for r in records] == [4, 4, 2]


def messages(*roles: str, **over: object) -> dict:
    talked = [{"role": role, "content": f"words of {role} {i}"} for i, role in enumerate(roles)]
    return {"id": "c1", "messages": talked, "labels": {"is_crisis": True, "risk_level": "CRISIS"}, **over}


def test_messages_take_category_and_difficulty_from_labels_where_those_tell(tmp_path: Path) -> None:
    plan = {"is_crisis": True, "risk_level": "CAUTION", "markers": ["suicidal_ideation"]}
    safe = {"is_crisis": False, "risk_level": "SAFE"}
    document = {"name": "a set", "conversations": [messages("student", "counsellor", labels=x) for x in (plan, safe)]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    first, second = read(tmp_path)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.metadata["category"], first.metadata["difficulty"]) == ("suicidality", "high")
    assert (second.metadata["category"], second.metadata["risk_level"]) == (source.NO_CRISIS, "safe")
    assert [first.offset, second.offset] == [1, 2]
    assert first.metadata["conversation"] == "a.json#c1"


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        (messages("student"), "turns", "nobody asks and is answered"),
        (messages("user", "wizard"), "messages.role", "'wizard' is not known"),
        (messages("user", "agent"), "category", "is told by no label of risk"),
        (messages("user", "agent", labels=[1]), "labels", "is no object"),
        (messages("user", "agent", labels={"risk_level": "purple"}), "labels.risk_level", "'purple' is not known"),
        (messages("user", "agent", labels={"is_crisis": 1}), "is_crisis", "true or false"),
        (messages("user", "agent", category="no"), "category", "'no' is not known"),
        ({"messages": "hello"}, "messages", "no list of objects"),
        ({"messages": [{"role": "user"}]}, "text", "is missing"),
    ],
)
def test_a_conversation_that_is_wrong_says_how(tmp_path: Path, row: dict, field: str, reason: str) -> None:
    found = one(tmp_path, row)
    assert isinstance(found, Unreadable)
    assert found.field == field
    assert reason in found.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("notes\nuser: a\nagent: b", "line 1 stands before the first speaker"),
        ("nobody speaks", "no line begins with user: or client:"),
        ("", "no line begins with user: or client:"),
        ("user: a\0\nagent: b", "is binary"),
    ],
)
def test_a_text_that_is_no_conversation_is_one_error(tmp_path: Path, content: str, reason: str) -> None:
    talk("x", tmp_path, content)
    (found,) = read(tmp_path)
    assert isinstance(found, Unreadable)
    assert (found.uri, found.offset) == ("runs/x.txt", 0)
    assert reason in found.reason


def test_the_public_conversations_are_read_whole() -> None:
    spec = SourceSpec(kind="edge_case", path="${PE_RAY_DATA}/edge_case/vera_mh")
    if not resolve(spec).exists():
        pytest.skip("PE_RAY_DATA holds no VERA-MH")
    records = [r for r in source.read(spec) if isinstance(r, Record)]
    assert len({r.metadata["conversation"] for r in records}) == len(source.plan(spec).files)
    assert all(r.messages[0].role == "user" and r.messages[-1].role == "assistant" for r in records)
