"""The planted documents are what the bench says they are."""

from __future__ import annotations

from pe_ray.bench.texts import COPIES, RATES, WORDS, jaccard, plant, prose_words, shingles


def test_the_same_seed_gives_the_same_documents() -> None:
    assert plant(200, seed=1) == plant(200, seed=1)
    assert plant(200, seed=1).texts != plant(200, seed=2).texts


def test_copies_are_three_in_ten_and_of_every_likeness() -> None:
    planted = plant(1000)
    assert len(planted.texts) == 1000
    assert len(planted.pairs) == 1000 * COPIES
    lengths = [len(t.split()) for t in planted.texts]
    assert min(lengths) >= WORDS[0]
    assert max(lengths) <= WORDS[1]
    found = [jaccard(shingles(planted.texts[a]), shingles(planted.texts[b])) for a, b in planted.pairs]
    assert sum(j == 1 for j in found) >= 0.8 * len(found) / len(RATES)
    assert all(any(low <= j < low + 0.1 for j in found) for low in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9))


def test_copies_stand_before_and_after_their_originals() -> None:
    earlier = sum(copy < original for copy, original in plant(1000).pairs)
    assert 100 < earlier < 200


def test_there_is_enough_prose_for_sixty_thousand_windows() -> None:
    assert len(prose_words()) > 500_000


def test_shingles_and_jaccard_of_little() -> None:
    assert shingles("One, two; THREE!") == {"one two three"}
    assert shingles("one two") == set()
    assert jaccard(set(), set()) == 0
    assert jaccard({"a", "b"}, {"b", "c"}) == 1 / 3
