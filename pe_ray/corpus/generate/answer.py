"""From what a model wrote to an edge case or a dialogue, or to the reason why it cannot be used.

Tolerant of what models add (a code fence, a sentence before or after), strict about what is inside. A reason names a
field and what would be right, never the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, field_validator

REFUSALS = re.compile(
    r"^\W*(?:i['’]?m (?:very |so )?sorry|i am sorry|sorry|i (?:can ?no|can['’])t|i(?:['’]m| am) (?:unable|not able)|"
    r"i (?:won['’]t|will not)|as an ai)\b",
    re.IGNORECASE,
)
MIN_WORDS = 12
"""Of what a client or a therapist says in an edge case; less is no scene."""
MIN_LETTERS = 0.6
"""Least share of letters and spaces in what is said."""
MIN_DISTINCT = 0.3
"""Least share of distinct words; below it a text goes round in circles."""
MAX_CHARS = 8_000
MAX_OBJECTS = 20


class Unusable(ValueError):
    """An answer that cannot be used; the message may be repeated to the model."""


Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=300)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Speech = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CHARS)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    purpose: Label
    expected_challenges: list[Label]

    @field_validator("expected_challenges")
    @classmethod
    def _some(cls, value: list[str]) -> list[str]:
        if not 1 <= len(value) <= 8:
            raise ValueError("holds no phrase, or more than eight; two to five are wanted")
        return value


class EdgeCase(_Answer):
    """One exchange."""

    client: Speech
    therapist: Speech

    @field_validator("client", "therapist")
    @classmethod
    def _is_speech(cls, value: str) -> str:
        if len(value.split()) < MIN_WORDS:
            raise ValueError(f"has fewer than {MIN_WORDS} words")
        return _sense(value)


class Turn(BaseModel):
    """One turn of a dialogue."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    speaker: Name
    text: Speech


class Dialogue(_Answer):
    """A dialogue of two personas."""

    turns: list[Turn]
    topic: Label

    @field_validator("turns")
    @classmethod
    def _is_speech(cls, value: list[Turn]) -> list[Turn]:
        for turn in value:
            if len(turn.text.split()) >= MIN_WORDS:  # a short turn ("Mm-hmm.", "...") may be anything
                _sense(turn.text)
        return value


def edge_case(text: str) -> EdgeCase:
    """The edge case in a model's text; raises Unusable."""
    found = _validated(EdgeCase, text)
    if found.client.casefold() == found.therapist.casefold():
        raise Unusable("therapist repeats what the client said")
    return found


def dialogue(text: str, client: str, therapist: str, turns: int) -> Dialogue:
    """The dialogue in a model's text, between these two names, of about so many turns; raises Unusable."""
    found = _validated(Dialogue, text)
    if not turns // 2 <= len(found.turns) <= turns * 2:
        raise Unusable(f"turns holds {len(found.turns)}; {turns} are wanted")
    for number, turn in enumerate(found.turns):
        if turn.speaker != (client, therapist)[number % 2]:
            raise Unusable("turns.speaker must be the names on the cards, client first, in turn")
    return found


def _sense(text: str) -> str:
    letters = sum(c.isalpha() or c.isspace() for c in text) / len(text)
    words = text.casefold().split()
    if letters < MIN_LETTERS or len(set(words)) / len(words) < MIN_DISTINCT:
        raise ValueError("is no running text")
    return text


A = TypeVar("A", bound=BaseModel)


def _validated(model: type[A], text: str) -> A:
    if not text.strip():
        raise Unusable("the answer is empty")
    data = _object(text)
    if data is None:
        raise Unusable("the answer is a refusal" if REFUSALS.match(text) else "the answer holds no JSON object")
    if "\x00" in text or not _encodes(data):
        raise Unusable("the answer holds a NUL or half a surrogate pair")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Unusable(_reason(error.errors(include_input=False, include_url=False))) from None


def _object(text: str) -> dict[str, Any] | None:
    """The first JSON object in the text that has more than one key, wherever it begins."""
    decoder = json.JSONDecoder(strict=False)  # models write line breaks inside strings
    for number, brace in enumerate(re.finditer(r"\{", text)):
        if number == MAX_OBJECTS:
            return None
        try:
            found, _ = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        return found if isinstance(found, dict) else None
    return None


def _encodes(data: Any) -> bool:
    try:
        words = json.dumps(data, ensure_ascii=False)
        words.encode()
    except ValueError:
        return False
    return "\\u0000" not in words


def _reason(errors: Sequence[Any]) -> str:
    first = errors[0]
    where = ".".join(str(p) for p in first["loc"]) or "the answer"
    if first["type"] == "value_error":
        return f"{where} {first['ctx']['error']}"
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}"
