from __future__ import annotations

import json
from typing import Any

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.quality import persona
from pe_ray.corpus.reading import resolve
from pe_ray.record import Message, Record


def dialogue(card: dict[str, Any], *said: str, **over: Any) -> Record:
    """The user has the card and says the words; the assistant only asks."""
    other = {"name": "Bo", "statements": ["I like tea."]}
    turns = [m for words in said for m in (Message("user", words), Message("assistant", "Do I have a wife? Go on."))]
    told = {
        "source": "dual_persona",
        "domain": "general_therapeutic",
        "content_type": "dual_persona",
        "messages": turns,
        "uri": "a.jsonl",
        "offset": 1,
        "licence": "",
        "attribution": "",
        "metadata": {"personas": json.dumps([card, other]), "user": card["name"], "assistant": "Bo"},
    }
    return Record.create(**{**told, **over})


def card(*statements: str) -> dict[str, Any]:
    return {"name": "Al", "statements": list(statements)}


@pytest.mark.parametrize(
    ("statement", "said", "rule"),
    [
        ("I have no children.", "Last night my daughter called.", "children against no_children"),
        ("I have three children.", "I don’t have any kids myself.", "no_children against children"),
        ("I am an only child.", "My younger sister is a nurse.", "siblings against no_siblings"),
        ("I am single.", "My husband cooks on Sundays.", "married against single"),
        ("I am a vegetarian.", "I just love a big steak.", "meat against meatless"),
        ("I am a vegan.", "I love cheese.", "dairy against vegan"),
        ("I do not drink alcohol.", "I always have a glass of wine in the evening.", "alcohol against no_alcohol"),
        ("I have a cat named Moss.", "I am allergic to cats, sadly.", "no_cats against cats"),
        ("I am unemployed.", "I work at a bank.", "works against no_work"),
        ("I am a retired teacher. I am retired.", "I work as a plumber.", "works against retired"),
        ("I am a 40 year old woman.", "I'm 25 years old.", "another age"),
        ("I turned 18 years old yesterday.", "I'm 31.", "another age"),
        ("My name is Iris.", "Hello, my name is Otto.", "another name"),
        ("I have three sisters.", "I have two sisters and a dog.", "another number of sisters"),
    ],
)
def test_what_a_card_forbids_is_found_with_its_place_and_nothing_is_quoted(
    statement: str, said: str, rule: str
) -> None:
    verdict = persona.check(dialogue(card(statement), "Well.", said))
    assert verdict is not None
    assert not verdict.passed
    assert verdict.reason.startswith(f"{rule} (message 3, ")
    assert not any(word in verdict.reason for word in ("steak", "Otto", "husband", "daughter"))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("I have no children.", "My sister's kids are loud."),
        ("I have no children.", "If I had a child, my daughter would row."),
        ("I have no children.", "Do you like my kids' band?"),
        ("I have no children.", "I wish I could say my son did it."),
        ("I am single.", "My ex husband rows."),
        ("I am a vegetarian.", "I love vegetable soup."),
        ("I do not drink alcohol.", "I love to drink fancy tea."),
        ("I am a 40 year old woman.", "I'm 41 years old."),
        ("I am a 40 year old woman.", "I'm 6 feet tall and ran 10 miles."),
        ("I have three sisters.", "I have three sisters too."),
        ("I am retired.", "I used to work as a plumber."),
    ],
)
def test_what_goes_together_passes(statement: str, said: str) -> None:
    verdict = persona.check(dialogue(card(statement), said))
    assert verdict is not None
    assert (verdict.score, verdict.passed, verdict.reason) == (1.0, True, "no contradiction with the cards")


def test_each_side_is_held_to_its_own_card() -> None:
    record = dialogue(card("I have no wife and I am single."), "I am tired.")
    verdict = persona.check(record.with_messages([Message("user", "Hm."), Message("assistant", "My wife rows.")]))
    assert verdict is not None
    assert verdict.passed


def test_more_rules_broken_score_lower_and_the_threshold_is_the_callers() -> None:
    record = dialogue(card("I am a vegan.", "I am single."), "My wife rows.", "I love a steak.")
    verdict = persona.check(record)
    assert verdict is not None
    assert verdict.score == pytest.approx(0.16)
    lower = persona.check(record, minimum=0.0)
    assert lower is not None
    assert lower.passed


def test_a_card_in_the_third_person_is_read_too() -> None:
    written = {
        "name": "Iris Holm",
        "age": 52,
        "role": "client",
        "background": "An only child; her mother died in spring.",
        "speaking_style": "dry",
        "traits": [],
    }
    read = persona.read_card(written)
    assert (read.age, read.name) == (52, "iris")
    assert {"no_siblings", "mother_dead"} <= read.claims
    said = "I'm 30. My brother says so. My mother calls every day."
    assert [c.rule for c in persona.contradictions(read, said)] == [
        "another age",
        "siblings against no_siblings",
        "mother_alive against mother_dead",
    ]


def test_other_records_and_cards_that_state_nothing_get_no_verdict() -> None:
    assert persona.check(dialogue(card("I like boats."), "My wife rows.")) is None
    assert persona.check(dialogue(card("I am single."), "x", content_type="qa")) is None
    assert persona.check(dialogue(card("I am single."), "x", metadata={})) is None


def test_every_pair_of_the_table_names_claims() -> None:
    table = persona.rules()
    assert set(table.against) <= set(table.claims)
    assert all(claim.said for claim in table.claims.values())


def test_every_bundled_dialogue_agrees_with_its_cards() -> None:
    verdicts = [persona.check(r) for r in sources.read(SourceSpec(kind="dual_persona")) if isinstance(r, Record)]
    assert verdicts
    assert all(v is not None and v.passed for v in verdicts)


def test_public_dialogues_hardly_ever_fail() -> None:
    spec = SourceSpec(kind="dual_persona", path="${PE_RAY_DATA}/dual_persona/synthetic_persona_chat")
    if not resolve(spec).exists():
        pytest.skip("PE_RAY_DATA holds no Synthetic-Persona-Chat")
    verdicts = [v for r in sources.read(spec) if isinstance(r, Record) and (v := persona.check(r))]
    assert sum(not v.passed for v in verdicts) <= 0.01 * len(verdicts)
