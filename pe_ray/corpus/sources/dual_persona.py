"""Dialogues of two personas: somebody who talks, and somebody who listens and helps.

One JSON object per line:
{"dialogue_id", "personas": [{"name", "role", "age", "traits", "background", "speaking_style"}, ...two],
 "turns": [{"speaker", "text"}, ...], "topic"}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import ReadPlan, Row, SourceFile, Unreadable, make_record, plan_files, read_jsonl
from pe_ray.corpus.row import Fault, label, text, texts
from pe_ray.record import Record


def plan(spec: SourceSpec) -> ReadPlan:
    """The .jsonl files of a spec."""
    return plan_files(spec, ".jsonl")


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """A record per dialogue; who speaks first is the user."""
    return read_jsonl(spec, (part or plan(spec)).files, _record)


def _record(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    cards = _cards(row.data)
    turns = _turns(row.data, [c["name"] for c in cards])
    first = turns[0][0]
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
        },
    )


def _cards(data: dict[str, Any]) -> list[dict[str, Any]]:
    cards = _objects(data, "personas")
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
    turns = [(label(t, "speaker"), text(t, "text")) for t in _objects(data, "turns")]
    if len(turns) < 2:
        raise Fault("turns", f"holds {len(turns)}; at least two are wanted")
    for number, (speaker, _) in enumerate(turns, start=1):
        if speaker not in names:
            raise Fault("turns.speaker", f"turn {number} is by somebody who has no persona card")
        if number > 1 and speaker == turns[number - 2][0]:
            raise Fault("turns.speaker", f"turns {number - 1} and {number} are by one speaker; they must alternate")
    return turns


def _objects(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = data.get(name)
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise Fault(name, "is missing or no list of objects")
    return value
