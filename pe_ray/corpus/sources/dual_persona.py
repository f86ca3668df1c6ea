"""Dialogues of two personas: somebody who talks, and somebody who listens and helps.

.jsonl, an object a line:
    {"dialogue_id", "personas": [{"name", "role", "age", "traits", "background", "speaking_style"}, ...two],
     "turns": [{"speaker", "text"}, ...], "topic"}
.csv, as Synthetic-Persona-Chat has it, a row a dialogue:
    user 1 personas, user 2 personas        what is true of each, a sentence a line
    Best Generated Conversation             turns that begin with `User 1:` and `User 2:`

Who speaks first is the user.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pe_ray.config import SourceSpec
from pe_ray.corpus.conversation import blocks, joined
from pe_ray.corpus.reading import (
    ReadPlan,
    Row,
    SourceFile,
    Unreadable,
    delimited_rows,
    make_record,
    plan_files,
    read_each,
    read_jsonl,
)
from pe_ray.corpus.row import Fault, label, objects, text, texts
from pe_ray.record import Record

FIELDS = ("dialogue_id", "personas", "turns", "topic", "domain", "generated", "review")
SPEAKERS = ("User 1", "User 2")
CONVERSATION = "Best Generated Conversation"


def plan(spec: SourceSpec) -> ReadPlan:
    """The .jsonl and .csv files of a spec."""
    return ReadPlan(tuple(replace(f, by_rows=True) for f in plan_files(spec, ".jsonl", ".csv").files))


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """A record per dialogue."""
    for file in (part or plan(spec)).files:
        if file.path.endswith(".csv"):
            yield from read_each(spec, file, delimited_rows(spec, file), _from_chat)
        else:
            yield from read_jsonl(spec, [file], from_row)


def from_row(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    """The record of one dialogue; raises Fault where a field is wrong."""
    cards = _cards(row.data)
    return _record(spec, file, row, cards, _turns(row.data, [c["name"] for c in cards]), {})


def _from_chat(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    cards = [
        {"name": name, "statements": [s.strip() for s in text(row.data, column).splitlines() if s.strip()]}
        for name, column in zip(SPEAKERS, (f"{name.casefold()} personas" for name in SPEAKERS), strict=True)
    ]
    turns = joined(blocks(text(row.data, CONVERSATION), SPEAKERS, bullets=True))
    if len({turn.speaker for turn in turns}) < 2:
        raise Fault(CONVERSATION, f"holds no turns of both {' and '.join(SPEAKERS)}")
    # a dialogue that a model's length limit cut off ends inside a sentence
    cut_off = {"truncated": "true"} if turns[-1].text[-1].isalnum() or turns[-1].text[-1] in ",;:-" else {}
    data = {"dialogue_id": f"{file.uri}:{row.line}"} | row.data
    return _record(spec, file, Row(row.line, data), cards, [(t.speaker, t.text) for t in turns], cut_off)


def _record(
    spec: SourceSpec,
    file: SourceFile,
    row: Row,
    cards: list[dict[str, Any]],
    turns: list[tuple[str, str]],
    flags: dict[str, str],
) -> Record:
    first = turns[0][0]
    told = {name: label(row.data, name) for name in ("generated", "review") if name in row.data}
    return make_record(
        spec,
        file,
        row.line,
        domain=label(row.data, "domain", "general_therapeutic"),
        content_type="dual_persona",
        messages=[("user" if speaker == first else "assistant", words) for speaker, words in turns],
        metadata={
            "dialogue_id": label(row.data, "dialogue_id"),
            "topic": label(row.data, "topic", "unstated"),
            "personas": json.dumps(cards, ensure_ascii=False, sort_keys=True),
            "user": first,
            "assistant": next(c["name"] for c in cards if c["name"] != first),
            "question": "extracted",
            **flags,
            **told,
        },
    )


def _cards(data: dict[str, Any]) -> list[dict[str, Any]]:
    cards = objects(data, "personas")
    if len(cards) != 2:
        raise Fault("personas", f"holds {len(cards)}; exactly two are wanted")
    checked = [_card(card) for card in cards]
    if checked[0]["name"] == checked[1]["name"]:
        raise Fault("personas", "both have the same name; who speaks could not be told")
    return checked


def _card(card: dict[str, Any]) -> dict[str, Any]:
    age = card.get("age")
    if isinstance(age, bool) or not isinstance(age, int):
        raise Fault("personas.age", "is missing or no whole number; an age in years is wanted")
    words = {name: label(card, name) for name in ("name", "role", "background", "speaking_style")}
    return {**words, "age": age, "traits": texts(card, "traits")}


def _turns(data: dict[str, Any], names: list[str]) -> list[tuple[str, str]]:
    turns = [(label(t, "speaker"), text(t, "text")) for t in objects(data, "turns")]
    if len(turns) < 2:
        raise Fault("turns", f"holds {len(turns)}; at least two are wanted")
    for number, (speaker, _) in enumerate(turns, start=1):
        if speaker not in names:
            raise Fault("turns.speaker", f"turn {number} is by somebody who has no persona card")
        if number > 1 and speaker == turns[number - 2][0]:
            raise Fault("turns.speaker", f"turns {number - 1} and {number} are by one speaker; they must alternate")
    return turns
