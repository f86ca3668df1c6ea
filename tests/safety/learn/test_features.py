from __future__ import annotations

import numpy as np
import pytest

from pe_ray.safety.learn import features
from pe_ray.safety.learn.features import Reader, Recipe

ODD = ["", " ", "\x00", "\ud800 lone", "😀", "a" * 5000, "Ελληνικά και кириллица", "x = {1: [2]};", "\n\n\t"]


def test_numbers_are_the_same_everywhere() -> None:
    bag = Reader(Recipe(bits=16, letters=(3, 3))).bag(["I am so proud!", ""])
    assert bag.starts.tolist() == [0, 18, 18]
    assert sorted(bag.feature.tolist())[:4] == [134, 3674, 4090, 15372]
    assert np.allclose(bag.weight, 1 / np.sqrt(18))


def test_a_batch_is_its_texts_one_by_one() -> None:
    texts = [*ODD, "I am so proud of you", "you are proud of me, so am I", "proud"]
    recipe = Recipe(words=3, skips=True)
    together = Reader(recipe).bag(texts)
    for n, text in enumerate(texts):
        alone = Reader(recipe).bag([text])
        here = slice(together.starts[n], together.starts[n + 1])
        assert sorted(alone.feature.tolist()) == sorted(together.feature[here].tolist())
        assert alone.weight.tolist() == together.weight[here].tolist()


def test_rows_of_words_do_not_cross_texts() -> None:
    pairs = Recipe(letters=(0, 0))
    apart, joined = Reader(pairs).bag(["one two", "three"]), Reader(pairs).bag(["one two three"])
    assert len(joined.feature) == len(apart.feature) + 1


def test_a_reader_forgets_and_goes_on_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "KNOWN_TOKENS", 5)
    small, texts = Reader(Recipe()), ["these are many words", "and these are many more", "these are many words"]
    found = [small.bag([t]).feature.tolist() for t in texts]
    assert found[0] == found[2]
    assert small.epoch > 0


@pytest.mark.parametrize("told", [{"view": "none"}, {"bits": 40}, {"words": 0}, {"letters": (3, 2)}])
def test_a_recipe_that_cannot_be_is_refused(told: dict) -> None:
    with pytest.raises(ValueError, match=r"recipe|view"):
        Recipe(**told)
