"""The store of personas: enough of them, each whole, and a wrong card named by its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.corpus.generate import personas
from pe_ray.errors import ConfigError

CARD = {
    "id": "x",
    "name": "Ada",
    "role": "client",
    "age": 40,
    "traits": ["calm"],
    "background": "Keeps bees.",
    "speaking_style": "slow",
    "history": "Grew up by a lake.",
    "beliefs": [],
    "coping": [],
    "lines": [],
}


def test_the_bundled_store_has_at_least_24_cards_and_no_name_twice() -> None:
    cards = personas.load().cards.values()
    assert len(cards) >= 24
    assert len({c.name for c in cards}) == len(cards)
    assert {c.role for c in cards} == {"client", "therapist"}
    assert all(len(c.lines) == 4 and c.traits and c.beliefs for c in cards)
    ages = [c.age for c in cards if c.role == "client"]
    assert min(ages) < 20
    assert max(ages) > 65


def test_the_public_part_is_what_the_source_reads() -> None:
    card = next(iter(personas.load().cards.values()))
    assert set(card.public) == {"name", "role", "age", "traits", "background", "speaking_style"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"age": "forty"}, "age is no whole number"),
        ({"age": True}, "age is no whole number"),
        ({"age": 9}, "age is no whole number from 14"),
        ({"role": "friend"}, "role 'friend' is not known"),
        ({"history": ""}, "history is empty"),
        ({"traits": "calm"}, "traits is a text"),
        ({"name": None}, "name is null"),
        ({"role": "therapist"}, "holds no client"),
        ({"history": "lost \ud800"}, "line is not JSON"),
    ],
)
def test_a_wrong_card_is_named_by_its_line(tmp_path: Path, change: dict, said: str) -> None:
    path = tmp_path / "cards.jsonl"
    path.write_text(json.dumps({**CARD, **change}) + "\n")
    with pytest.raises(ConfigError, match=said):
        personas.load(path)


@pytest.mark.parametrize("raw", ["{", "[]", '{"id": "\\ud800"}', "\x00", "", "[" * 100_000])
def test_what_is_no_store_is_refused(tmp_path: Path, raw: str) -> None:
    path = tmp_path / "cards.jsonl"
    path.write_text(raw)
    with pytest.raises(ConfigError):
        personas.load(path)


def test_a_card_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "cards.jsonl"
    path.write_text(json.dumps(CARD) + "\n" + json.dumps(CARD) + "\n")
    with pytest.raises(ConfigError, match="line 2: id 'x' stands twice"):
        personas.load(path)
