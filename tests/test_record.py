"""Records travel to Arrow and back; ids follow content; nobody's words are in a repr."""

from __future__ import annotations

import pytest

from pe_ray.record import JournalEntry, Message, Record, Response, digest, from_table, to_table


def record(text: str = "I sleep badly", **changes) -> Record:
    fields = {
        "source": "standard",
        "domain": "general_therapeutic",
        "content_type": "qa",
        "messages": [Message("user", text), Message("assistant", "What keeps you awake?")],
        "uri": "a.jsonl",
        "offset": 1,
        "licence": "CC0-1.0",
        "attribution": "us",
        "metadata": {"topics": "sleep"},
    }
    return Record.create(**{**fields, **changes})


def test_a_table_gives_the_same_records_back() -> None:
    records = [record(), record("Anderes Wort: ß", offset=2)]
    assert list(from_table(to_table(records))) == records


def test_the_id_follows_source_place_and_text() -> None:
    ids = {record().id, record("other").id, record(offset=2).id, record(uri="b").id, record(source="voice").id}
    assert len(ids) == 5
    assert record().id == record(licence="MIT").id
    assert digest("ab", "c") != digest("a", "bc")


def test_cleaning_keeps_the_id() -> None:
    cleaned = record().with_messages([Message("user", "clean")])
    assert cleaned.id == record().id
    assert cleaned.text_of("user") == "clean"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"domain": "sports"}, "domain='sports' is not one of"),
        ({"content_type": "film"}, "content_type='film' is not one of"),
        ({"messages": [Message("user", "  ")]}, "hold no text"),
    ],
)
def test_what_cannot_be_a_record_is_named(changes: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        record(**changes)


def test_no_repr_shows_a_persons_words() -> None:
    secret = "canary-7f3a"
    things = [
        record(secret),
        Message("user", secret),
        Response("1", secret, "a@1", (), 0.1, False),
        JournalEntry("1", "c", "2026-01-01T00:00:00Z", "note", {"text": secret}),
    ]
    assert not any(secret in repr(t) for t in things)
