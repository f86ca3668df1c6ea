from __future__ import annotations

import pyarrow as pa

from pe_ray.corpus import dedup
from pe_ray.record import Message, Record, digest, to_table


def record(question: str, answer: str = "Yes", offset: int = 1, **metadata: str) -> Record:
    return Record.create(
        source="standard",
        domain="psychology",
        content_type="qa",
        messages=[Message("user", question), Message("assistant", answer)],
        uri="a.jsonl",
        offset=offset,
        licence="",
        attribution="",
        metadata=metadata,
    )


def keys(*records: Record) -> dict[str, list]:
    return dedup.apply(to_table(records)).select(["text_key", "row_key", "group"]).to_pydict()


def test_case_punctuation_and_spaces_do_not_make_another_text() -> None:
    same = keys(record("I can't sleep!"), record("i  can't\nSLEEP"), record("I can’t sleep…"))["text_key"]
    assert len(set(same)) == 1
    other = keys(record("I can sleep"), record("I can't sleep", "No"), record("I can't", "sleep Yes"))["text_key"]
    assert len({*other, same[0]}) == 4


def test_texts_without_words_differ_by_what_they_are() -> None:
    assert len(set(keys(record("..."), record("!!!"))["text_key"])) == 2


def test_the_row_key_follows_all_that_a_record_holds() -> None:
    assert len(set(keys(record("a"), record("a", offset=2), record("a", topic="x"), record("a."))["row_key"])) == 4
    assert keys(record("a"))["row_key"] == keys(record("a"))["row_key"]


def test_answers_to_one_question_are_a_group_and_so_is_a_recording() -> None:
    one, two, three, four = keys(
        record("Why?", "A"), record("why", "B"), record("x", recording="s.vtt"), record("y", recording="s.vtt")
    )["group"]
    assert one == two
    assert three == four
    assert one != three
    assert len(set(keys(record("x", group="age"), record("y", group="age"))["group"])) == 2  # whom a bias is about


def test_windows_of_a_conversation_are_a_group_and_dialogues_that_begin_alike_are_none() -> None:
    windows = keys(record("x", conversation="c1"), record("y", conversation="c1"), record("z", conversation="c2"))
    assert len(set(windows["group"])) == 2
    hello = [Message("user", "Hi!"), Message("assistant", "Hello!")]
    talks = [record("Hi!").with_messages([*hello, Message("user", word)]) for word in ("I bake.", "I run.")]
    assert len(set(dedup.apply(to_table(talks))["group"].to_pylist())) == 2


def test_an_empty_table_gets_its_columns() -> None:
    table = dedup.apply(to_table([]))
    assert table.schema.field("text_key").type == pa.string()
    assert len(table) == 0


def test_the_quick_way_gives_the_digests_of_the_normalised_texts() -> None:
    said = ["Hello, I'm HERE… “now” – 3.5", "...", "Ünï ﬁne ①", "a_b\u00a0c’d", "\x00", "ß İ", "7 & 8\n\nnine"]
    records = [record(q, a) for q in said for a in said]
    found = keys(*records)
    for i, r in enumerate(records):
        parts = [part for m in r.messages for part in (m.role, dedup.normalise(m.text))]
        assert found["text_key"][i] == digest(*parts)
        assert found["group"][i] == digest(parts[1])


def test_the_group_of_a_record_in_which_no_user_speaks_is_its_first_message() -> None:
    alone = record("x").with_messages([Message("assistant", "Welcome back"), Message("assistant", "Sit down")])
    assert keys(alone)["group"] == [digest("welcome back")]
