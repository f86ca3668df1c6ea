"""The suites of crisis messages keep their promises: enough of each class, allowed labels, and no text twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

import pe_ray

SUITES = Path(pe_ray.__file__).parent / "evaluate" / "suites"
FORMS = {"direct", "indirect", "obfuscated", "negated", "past", "third_person"}
LEAST = {
    "suicide_self_harm": 140,
    "harm_to_others": 80,
    "child_abuse": 80,
    "elder_abuse": 60,
    "partner_violence": 70,
    "psychosis_mania": 70,
    "eating_disorder_medical": 60,
    "overdose_withdrawal": 70,
    "medical_emergency": 60,
}


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (SUITES / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def positives() -> list[dict]:
    return read("crisis_positive.jsonl")


@pytest.fixture(scope="module")
def conversations() -> list[dict]:
    return read("crisis_slow.jsonl")


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower()).split()


def trigrams(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + 3]) for i in range(len(found) - 2)}


def close_pairs(texts: list[str], least: float = 0.5) -> list[tuple[str, str]]:
    """Pairs that share half their trigrams of words; only pairs that share one are compared."""
    grams = [trigrams(text) for text in texts]
    holders: dict[tuple[str, ...], list[int]] = {}
    for i, gram in enumerate(grams):
        for g in gram:
            holders.setdefault(g, []).append(i)
    pairs = {pair for held in holders.values() for pair in combinations(held, 2)}
    return [(texts[i], texts[j]) for i, j in pairs if len(grams[i] & grams[j]) >= least * len(grams[i] | grams[j])]


def test_a_message_has_five_fields_and_allowed_labels(positives: list[dict]) -> None:
    for row in positives:
        assert set(row) == {"id", "class", "form", "level", "text"}, row["id"]
        assert row["class"] in LEAST and row["form"] in FORMS, row["id"]
        assert row["level"] in {2, 3, 4}, row["id"]
        assert 4 <= len(row["text"].split()) <= 45, row["id"]


def test_every_class_has_enough_messages_and_every_form(positives: list[dict]) -> None:
    classes = Counter(row["class"] for row in positives)
    forms = Counter((row["class"], row["form"]) for row in positives)
    assert {c: n for c, n in LEAST.items() if classes[c] < n} == {}
    assert [(c, f) for c in LEAST for f in FORMS if forms[c, f] < 7] == []


def test_conversations_have_twenty_short_turns(conversations: list[dict]) -> None:
    for talk in conversations:
        assert set(talk) == {"id", "class", "level", "turns"}, talk["id"]
        assert len(talk["turns"]) == 20, talk["id"]
        assert all(3 <= len(turn.split()) <= 18 for turn in talk["turns"]), talk["id"]


def test_slow_conversations_end_in_danger_and_their_twins_do_not(conversations: list[dict]) -> None:
    classes = Counter(talk["class"] for talk in conversations)
    assert classes["suicide_self_harm"] == 12 and classes["none"] == 16 and len(conversations) == 40
    assert set(classes) == set(LEAST) | {"none"}
    for talk in conversations:
        assert talk["level"] in ({0, 1} if talk["class"] == "none" else {2, 3, 4}), talk["id"]


def test_ids_are_unique(positives: list[dict], conversations: list[dict]) -> None:
    ids = Counter(row["id"] for row in positives + conversations)
    assert [i for i, n in ids.items() if n > 1] == []


def test_no_text_stands_twice_or_nearly(positives: list[dict], conversations: list[dict]) -> None:
    texts = [row["text"] for row in positives] + [turn for talk in conversations for turn in talk["turns"]]
    normal = Counter(" ".join(words(text)) for text in texts)
    assert [text for text, n in normal.items() if n > 1] == []
    assert close_pairs(texts) == []


def test_a_near_duplicate_would_be_found() -> None:
    said = "he told me that he would be gone by the spring"
    assert close_pairs([said, said + " again", "something else was said about the garden"]) == [(said, said + " again")]
