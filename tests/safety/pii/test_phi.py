"""The made-up set is sound, the score counts right, and the finder stays above its floors."""

from __future__ import annotations

import pytest

from pe_ray.safety.pii import TYPES, find
from pe_ray.safety.pii.coverage import SAFE_HARBOR
from pe_ray.safety.pii.phi import Score, make, score, table
from pe_ray.safety.pii.spans import Span

FLOORS = dict.fromkeys(TYPES, 0.9) | {"name_unlisted": 0.6, "family": 0.9}
"""Recall by type; well under what `table` prints (1.0, and .77 for names in no list), since 30 values say no more."""


@pytest.fixture(scope="module")
def scores() -> dict[str, Score]:
    notes = make()
    return score([find(n.text) for n in notes], [n.truth for n in notes])


@pytest.mark.parametrize("kind", FLOORS)
def test_recall_of_each_type(scores: dict[str, Score], kind: str) -> None:
    assert scores[kind].planted >= 25
    assert scores[kind].recall >= FLOORS[kind], table(scores)


def test_precision_of_each_type(scores: dict[str, Score]) -> None:
    for kind, row in scores.items():
        assert row.precision >= 0.9, f"{kind}\n{table(scores)}"


def test_the_set_is_the_same_for_a_seed_and_its_places_are_right() -> None:
    notes = make(per_type=3, seed=1)
    assert notes == make(per_type=3, seed=1)
    assert notes != make(per_type=3, seed=2)
    assert any(not n.truth for n in notes)
    for note in notes:
        for span in note.truth:
            assert note.text[span.start : span.end].strip()
            assert span.end <= len(note.text)


def test_a_score_by_hand() -> None:
    truth = [[Span(0, 10, "phone")], [Span(5, 9, "name")], []]
    found = [[Span(0, 6, "phone"), Span(6, 10, "zip")], [Span(5, 8, "name")], [Span(1, 2, "name")]]
    scores = score(found, truth)
    assert scores["phone"] == Score(planted=1, masked=1, found=1, right=1)
    assert scores["name"] == Score(planted=1, masked=0, found=2, right=1)
    assert scores["zip"] == Score(planted=0, masked=0, found=1, right=1)
    assert (scores["name"].recall, scores["name"].precision) == (0.0, 0.5)
    assert "phone" in table(scores)


def test_the_table_of_safe_harbor_is_whole_and_names_our_types() -> None:
    assert len(SAFE_HARBOR) == 18
    assert {t for row in SAFE_HARBOR for t in row.types} == set(TYPES)
    assert all(row.missing for row in SAFE_HARBOR)
