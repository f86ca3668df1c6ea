from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from pe_ray.corpus.quality import markers
from pe_ray.record import Message, Record, to_table

TALK = [
    ("user", "I was scared of the train, so scared that I’m ashamed."),
    ("assistant", "You were terrified and furious?"),
    ("user", "Mm-hmm."),
    ("assistant", "And today?"),
    ("user", "Today I'm relieved. My sister was angry, but I'm not angry."),
]


def record(*said: tuple[str, str], content_type: str = "transcript", domain: str = "mental_health") -> Record:
    return Record.create(
        source="voice",
        domain=domain,
        content_type=content_type,
        messages=[Message(role, text) for role, text in said],  # type: ignore[arg-type]
        uri="a.vtt",
        offset=1,
        licence="",
        attribution="",
    )


def marked(*records: Record) -> list[dict[str, Any] | None]:
    column = markers.apply(to_table(records))["markers"]
    assert column.type == pa.string()
    return [json.loads(row) if row else None for row in column.to_pylist()]


def found(text: str, table: str = "emotions") -> dict[str, tuple[int, int, int]]:
    made = markers.of_client([(0, text)])
    return {k: (v["count"], v["negated"], v["others"]) for k, v in made[table].items()} if made else {}


def test_counts_spans_and_path_are_of_the_clients_own_words() -> None:
    (made,) = marked(record(*TALK))
    assert made
    assert made["emotions"]["fear"] == {"count": 2, "negated": 0, "others": 0, "spans": [[0, 6, 12], [0, 30, 36]]}
    assert made["emotions"]["shame"]["count"] == 1
    assert made["emotions"]["anger"] == {"count": 0, "negated": 1, "others": 1, "spans": []}
    assert made["path"] == [[0, "fear", 2], [4, "relief", 1]]
    assert made["words"] == 23
    for group in made["emotions"].values():
        for message, start, end in group["spans"]:
            assert TALK[message][0] == "user"
            assert TALK[message][1][start:end] in ("scared", "ashamed", "relieved")


@pytest.mark.parametrize(
    "made",
    [
        record(("user", "I am sad."), ("assistant", "Yes."), content_type="knowledge"),
        record(("user", "I am sad."), ("assistant", "Yes."), content_type="podcast"),
        record(("user", "They are all sad."), ("assistant", "Yes."), content_type="qa", domain="bias_detection"),
        record(("user", "I am sad.")),
        record(("user", "The train left."), ("assistant", "I am sad.")),
        record(("assistant", "I am sad.")),
    ],
)
def test_where_no_client_speaks_or_nothing_is_found_there_is_null(made: Record) -> None:
    assert marked(made) == [None]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("I'm not afraid anymore.", {"fear": (0, 1, 0)}),
        ("I was never really happy.", {"joy": (0, 1, 0)}),
        ("i dont feel guilty", {"shame": (0, 1, 0)}),
        ("No anger. Sad.", {"anger": (0, 1, 0), "sadness": (1, 0, 0)}),
        ("I don't know why I'm sad.", {"sadness": (1, 0, 0)}),
        ("I have never been so sad.", {"sadness": (1, 0, 0)}),
        ("I can't stop crying.", {"sadness": (1, 0, 0)}),
        ("It's not that, I'm sad.", {"sadness": (1, 0, 0)}),
        ("She gets so angry.", {"anger": (0, 0, 1)}),
        ("My boss was angry, I was calm.", {"anger": (0, 0, 1), "relief": (1, 0, 0)}),
        ("They're happy.", {"joy": (0, 0, 1)}),
    ],
)
def test_negated_feelings_and_those_of_others_are_counted_apart(
    text: str, counts: dict[str, tuple[int, int, int]]
) -> None:
    assert found(text) == counts


def test_the_longest_phrase_counts() -> None:
    assert found("I hate myself.") == {"shame": (1, 0, 0)}
    assert found("I hate Mondays.") == {"anger": (1, 0, 0)}


def test_words_inside_words_do_not_count() -> None:
    assert found("The crypt in Madrid was sadistic, the glade funded.") == {}


def test_ways_are_groups_of_words_and_no_scores() -> None:
    assert found("I wonder about my routines.", "traits") == {
        "openness.curiosity": (1, 0, 0),
        "openness.familiar": (1, 0, 0),
    }


@pytest.mark.parametrize("text", ["İ İ am sad", "\0sad", "🙂 sad", "SAD", "so\nsad"])
def test_places_are_of_the_text_as_it_stands(text: str) -> None:
    made = markers.of_client([(3, text)])
    assert made
    ((message, start, end),) = made["emotions"]["sadness"]["spans"]
    assert (message, text[start:end].lower()) == (3, "sad")


def test_a_long_text_keeps_a_bounded_number_of_places_and_the_whole_count() -> None:
    made = markers.of_client([(0, "sad " * 5000 + "joy" * 50_000)])
    assert made
    assert made["emotions"]["sadness"]["count"] == 5000
    assert len(made["emotions"]["sadness"]["spans"]) == markers.MAX_SPANS


def test_slices_and_empty_tables_are_taken() -> None:
    table = to_table([record(("user", "Fine."), ("assistant", "Yes.")), record(*TALK), record(*TALK)])
    sliced = markers.apply(table.slice(1, 2))["markers"].to_pylist()
    assert sliced == markers.apply(table)["markers"].to_pylist()[1:]
    assert markers.apply(table.slice(0, 0)).num_rows == 0
    assert markers.apply(to_table([])).column_names[-1] == "markers"


def test_the_lexicons_are_readable_and_no_phrase_stands_under_two_emotions() -> None:
    phrases = markers._phrases()
    assert all(phrase and phrase == phrase.lower() for _, _, phrase in phrases)
    emotions = [phrase for table, _, phrase in phrases if table == "emotions"]
    assert len(emotions) == len(set(emotions))
    for _, group, phrase in phrases:
        assert any(e.group == group for e in markers._entries(phrase.replace("*", ""))), phrase
