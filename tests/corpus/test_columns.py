from __future__ import annotations

import pyarrow as pa

from pe_ray.corpus.columns import Turns, with_column, with_texts
from pe_ray.record import Message, Record, from_table, to_table


def record(*said: tuple[str, str]) -> Record:
    return Record.create(
        source="standard",
        domain="psychology",
        content_type="qa",
        messages=[Message(role, text) for role, text in said],
        uri="a.jsonl",
        offset=1,
        licence="",
        attribution="",
    )


RECORDS = [
    record(("user", "one"), ("assistant", "two"), ("user", "three")),
    record(("assistant", "four")),
    record(("system", "five"), ("user", "")),
]


def test_what_each_role_says_is_that_of_the_record() -> None:
    for table in (to_table(RECORDS), to_table([RECORDS[1], *RECORDS]).slice(1)):
        turns = Turns.of(table)
        for role in ("user", "assistant", "system"):
            assert turns.said_by(role) == [r.text_of(role) for r in RECORDS]


def test_a_record_without_a_message_says_nothing() -> None:
    table = to_table([*RECORDS, RECORDS[0].with_messages([]), RECORDS[0].with_messages([]), RECORDS[1]])
    assert Turns.of(table).said_by("assistant") == ["two", "four", "", "", "", "four"]


def test_messages_know_their_record() -> None:
    turns = Turns.of(to_table([RECORDS[0].with_messages([]), *RECORDS]))
    assert turns.record_of(pa.array(range(6)).to_numpy()).tolist() == [1, 1, 1, 2, 3, 3]


def test_texts_are_exchanged_in_place_also_in_several_chunks() -> None:
    table = pa.concat_tables([to_table(RECORDS), to_table(RECORDS[:1])])
    turns = Turns.of(table)
    shouted = with_texts(table, turns, pa.compute.utf8_upper(turns.texts))
    assert shouted.schema == table.schema
    assert [m.text for r in from_table(shouted) for m in r.messages] == [t.upper() for t in turns.texts.to_pylist()]
    assert [m.role for r in from_table(shouted) for m in r.messages] == turns.roles.to_pylist()


def test_an_empty_table_has_no_turns() -> None:
    table = to_table([])
    turns = Turns.of(table)
    assert turns.said_by("user") == []
    assert with_texts(table, turns, turns.texts).schema == table.schema
    assert with_column(table, "changes", []).schema == table.schema
