"""The batch stage: every message and the metadata that may hold names, no row lost, nothing on a second pass."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_ray.corpus import private
from pe_ray.errors import UserError
from pe_ray.record import RECORD_SCHEMA, Message, Record, from_table, to_table
from pe_ray.safety.pii import replace

KEY = b"0123456789abcdef"


def record(*turns: str, content_type: str = "qa", offset: int = 0, **metadata: str) -> Record:
    return Record.create(
        source="standard",
        domain="psychology",
        content_type=content_type,
        messages=[Message("assistant" if i % 2 else "user", text) for i, text in enumerate(turns)],
        uri="sarah.jsonl",
        offset=offset,
        licence="CC-BY-4.0",
        attribution="Sarah Smith",
        metadata=metadata,
    )


def mask(*records: Record, **options: object) -> pa.Table:
    return private.apply(to_table(records), **{"tier": "patterns", "key": KEY, **options})  # type: ignore[arg-type]


def texts(table: pa.Table) -> list[list[str]]:
    return [[m["text"] for m in row] for row in table["messages"].to_pylist()]


def test_every_turn_is_masked_and_what_was_found_is_counted() -> None:
    out = mask(
        record("I'm Sarah.", "Hello Sarah, is jane@gmail.com yours?", offset=1),
        record("I am tired.", "Call 988.", offset=2),
        record("Ring 581-896-0013.", "Thank you.", offset=3),
    )
    assert out["pii"].to_pylist() == [
        [{"type": "email", "count": 1}, {"type": "name", "count": 2}],
        [],
        [{"type": "phone", "count": 1}],
    ]
    first, second, third = texts(out)
    name = replace("I'm Sarah.", KEY)[0][4:-1]
    assert first[0] == f"I'm {name}."
    assert first[1].startswith(f"Hello {name}, is user-")
    assert second == ["I am tired.", "Call 988."]
    assert third[1] == "Thank you."
    assert out.schema.field("pii").type == private.PII_TYPE
    assert out["id"].to_pylist() == to_table(list(from_table(out)))["id"].to_pylist()
    assert out["attribution"].to_pylist() == ["Sarah Smith"] * 3


def test_a_name_that_a_cue_gives_away_counts_in_the_whole_record_and_only_there() -> None:
    out = mask(record("Xolani came.", "My name is Xolani.", offset=1), record("Xolani came.", "Who?", offset=2))
    assert "Xolani" not in str(texts(out)[0])
    assert texts(out)[1] == ["Xolani came.", "Who?"]


def test_speakers_are_names_unless_they_are_roles() -> None:
    murmurs = json.dumps([{"cue": 3, "speaker": "Xolani", "text": "mhm, jane@gmail.com"}])
    out = mask(
        record(
            "Xolani: I saw Brandt.",
            "And then?",
            content_type="transcript",
            speaker="Xolani Mbeki,Client",
            helper="Therapist,Dr. Smith",
            title="A talk with Sarah",
            back_channels=murmurs,
            recording="one.vtt",
            name="Classical Conditioning",
        )
    )
    metadata = json.loads(out["metadata"][0].as_py())
    whole = json.dumps(metadata) + str(texts(out))
    assert not any(word in whole for word in ("Xolani", "Mbeki", "Smith", "Sarah", "gmail"))
    assert metadata["speaker"].endswith(",Client")
    assert metadata["helper"].startswith("Therapist,Dr. ")
    assert metadata["recording"] == "one.vtt"
    assert metadata["name"] == "Classical Conditioning"
    (murmur,) = json.loads(metadata["back_channels"])
    assert murmur["cue"] == 3
    assert murmur["speaker"] == metadata["speaker"].split()[0]
    assert texts(out)[0][0].startswith(f"{murmur['speaker']}: I saw ")


def test_user_names_that_speak_are_masked_and_labels_of_a_diarizer_stay() -> None:
    out = mask(record("Hi.", "Hm.", content_type="transcript", speaker="sad_girl99", helper="SPEAKER_01,P02,Speaker 1"))
    metadata = json.loads(out["metadata"][0].as_py())
    assert metadata["speaker"].startswith("user_")
    assert metadata["helper"] == "SPEAKER_01,P02,Speaker 1"
    assert out["pii"].to_pylist() == [[{"type": "username", "count": 1}]]


def test_personas_are_nobody_in_their_own_record() -> None:
    cards = json.dumps(
        [{"name": "Maya Lopez", "age": 30, "background": "Maya knows Karen"}, {"name": "Tom", "age": 40}]
    )
    turns = ("Maya here, Maya Lopez. Karen has 581-896-0013.", "Hi Maya. I am Tom.")
    meta = {"personas": cards, "user": "Maya Lopez", "assistant": "Tom"}
    (said,) = texts(out := mask(record(*turns, content_type="dual_persona", **meta)))
    assert said[0].startswith("Maya here, Maya Lopez. ")
    assert "Karen" not in said[0] + out["metadata"][0].as_py()
    assert "581" not in said[0]
    assert said[1] == "Hi Maya. I am Tom."
    metadata = json.loads(out["metadata"][0].as_py())
    assert metadata["user"] == "Maya Lopez"
    assert json.loads(metadata["personas"])[0]["age"] == 30
    (other,) = texts(mask(record(*turns)))
    assert "Maya" not in other[0]


def test_a_second_pass_changes_nothing() -> None:
    cards = json.dumps([{"name": "Maya", "age": 30}, {"name": "Tom", "age": 40}])
    once = mask(
        record(
            "My sister Hope and Will told Dr. O'Brien.",
            "Will they? Hope so. Will said no.",
            offset=1,
            speaker="Anna,Client",
            title="With J. Brandt",
        ),
        record(
            "Maya and Sarah",
            "born on May 4",
            offset=2,
            content_type="dual_persona",
            personas=cards,
            user="Maya",
            assistant="Tom",
        ),
    )
    again = private.apply(once.drop(["pii"]), tier="patterns", key=KEY)
    assert again.drop(["pii"]).equals(once.drop(["pii"]))
    assert again["pii"].to_pylist() == [[], []]


WORDS = [
    "Sarah",
    "Xolani",
    "Will",
    "Hope",
    "Smith",
    "My name is",
    "my sister",
    "Dr.",
    "said",
    "came",
    "Acevedo",
    "581-896-0013",
    ".",
    ":",
]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), min_size=2, max_size=3), st.sampled_from(WORDS)
)
def test_a_second_pass_changes_nothing_whatever_a_record_says(turns: list[list[str]], speaker: str) -> None:
    once = mask(record(*(" ".join(["well", *t]) for t in turns), speaker=speaker, title=f"With {speaker}"))
    again = private.apply(once.drop(["pii"]), tier="patterns", key=KEY)
    assert again.drop(["pii"]).equals(once.drop(["pii"]))


def test_the_split_into_batches_does_not_matter() -> None:
    table = to_table([record(f"I'm Sarah {i}.", f"mail s{i}@gmail.com", offset=i, title="Mark") for i in range(9)])
    whole = private.apply(table, tier="patterns", key=KEY)
    parts = [private.apply(table.slice(i, 2), tier="patterns", key=KEY) for i in range(0, 9, 2)]
    assert pa.concat_tables(parts).to_pylist() == whole.to_pylist()
    chunked = pa.concat_tables([table.slice(0, 4), table.slice(4)])
    assert private.apply(chunked, tier="patterns", key=KEY).to_pylist() == whole.to_pylist()


@pytest.mark.parametrize("tier", ["off", "patterns"])
def test_an_empty_table_keeps_its_form(tier: str) -> None:
    out = mask(tier=tier)
    assert out.num_rows == 0
    assert out.schema.names == [*RECORD_SCHEMA.names, "pii"]


def test_off_changes_nothing() -> None:
    table = to_table([record("I'm Sarah.", "Hello Sarah.")])
    out = private.apply(table, tier="off", key=b"")
    assert out.drop(["pii"]).equals(table)
    assert out["pii"].to_pylist() == [[]]


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"speaker": 3, "title": null}',
        '{"speaker": "", "personas": "[{"}',
        '{"personas": "[3, {\\"name\\": 4}]"}',
    ],
)
def test_odd_metadata_and_texts_lose_no_row(metadata: str) -> None:
    table = to_table([record("I'm Sarah.", "\x00 ok", content_type="dual_persona")])
    at = table.schema.get_field_index("metadata")
    table = table.set_column(at, "metadata", pa.array([metadata]))
    out = private.apply(table, tier="patterns", key=KEY)
    assert out["metadata"].to_pylist() == [metadata]
    assert "Sarah" not in str(texts(out))


def test_what_would_stop_a_run_is_said_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key is empty"):
        mask(record("plain", "words"), key=b"")
    with pytest.raises(UserError, match="no folder"):
        mask(record("plain", "words"), ner=tmp_path / "absent")
