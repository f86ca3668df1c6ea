from __future__ import annotations

import random
import re

import numpy as np
import pytest

from pe_ray.corpus.quality import vocabulary as module
from pe_ray.corpus.quality import words
from pe_ray.corpus.quality.vocabulary import SENTENCE_END, Lists, Vocabulary, found_in

TEXTS = [
    "I lie awake; my husband's job keeps us awake, and the kids' school is far away.",
    "",
    "Naïve café Straße İstanbul ﬁne ŉ don’t can't o'clock 3am R2D2 10mg x_y \x01\x02\x00 e.g. this… “so”",
    "sleep sleeping sleeper SLEEP " * 9 + "women women's man",
    "w o r d s apart. a b c. d",
    "你好 привет мир\u00a0новый\u2028line",
]


def vocabulary() -> Vocabulary:
    return Vocabulary([(("women (?:are|were) late",), ()), (("kill(?:ing)? time",), ("kill",))])


def stems(found: module.Read, vocabulary: Vocabulary, num: int) -> list[dict[str, float]]:
    names = vocabulary.names_from(0)
    rows: list[dict[str, float]] = [{} for _ in range(num)]
    columns = (found.stems.text.tolist(), found.stems.feature.tolist(), found.stems.weight.tolist())
    for text, feature, weight in zip(*columns, strict=True):
        rows[text][names[feature]] = weight
    return rows


def test_a_batch_is_read_as_each_text_by_itself() -> None:
    known = vocabulary()
    for texts in (TEXTS, TEXTS[::-1], TEXTS[:1], ["new words here", *TEXTS]):  # known and unknown words, any order
        found = known.read(texts)
        assert found.num_words.tolist() == [len(words.words(t)) for t in texts]
        assert stems(found, known, len(texts)) == [words.content(t) for t in texts]


def test_a_part_is_what_reading_the_part_gives() -> None:
    known = vocabulary()
    part, alone = known.read(TEXTS).part(2, 5), known.read(TEXTS[2:5])
    assert stems(part, known, 3) == stems(alone, known, 3)
    assert part.num_words.tolist() == alone.num_words.tolist()
    assert (part.likely, part.apart.tolist()) == (alone.likely, alone.apart.tolist())


def test_no_text_at_all_is_read_too() -> None:
    found = vocabulary().read([])
    assert (found.likely, found.num_words.tolist(), found.apart.tolist()) == ([], [], [])
    assert len(found.stems.text) == 0


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Women are late.", [0]),
        ("So. Women\nare late", []),
        ("Hm?! They said: WOMEN were… late. We were killing the time… Women were late", [4, 5]),
        ("the women who are often late", [0]),  # may let too much through
        ("womenfolk are late", []),
    ],
)
def test_sentences_that_a_rule_could_match_are_told(text: str, sentences: list[int]) -> None:
    found = vocabulary().read(["other", text])
    assert found.likely == [[], sentences]
    assert len(SENTENCE_END.split(text)) > max(sentences, default=0)


def test_no_sentence_is_lost_that_a_rule_matches() -> None:
    draw = random.Random(2)
    pieces = ["women", "are", "late", "were", "killing", "time", "kill", "the", ".", "?", "\n", "…", "!", "–", "’"]
    texts = [" ".join(draw.choices(pieces, k=draw.randint(3, 12))) for _ in range(2000)]
    for text, likely in zip(texts, vocabulary().read(texts).likely, strict=True):
        parts = SENTENCE_END.split(text.lower())
        hits = [i for i, p in enumerate(parts) if re.search(r"\b(?:women (?:are|were) late|kill(?:ing)? time)\b", p)]
        assert set(hits) <= set(likely), text


def test_letters_that_stand_apart_are_noticed_and_borders_part_them() -> None:
    assert vocabulary().read(["s o a d", "a b c", "d e", "I'm a b c", "x-y.z*w"]).apart.tolist() == [1, 0, 0, 0, 1]


def test_a_vocabulary_that_grew_too_large_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    known = vocabulary()
    before = stems(known.read(TEXTS), known, len(TEXTS))
    monkeypatch.setattr(module, "KNOWN_TOKENS", 10)
    known.trim()
    assert len(known.numbers) == 2
    assert stems(known.read(TEXTS), known, len(TEXTS)) == before


def test_lists_are_spread_over_their_owners() -> None:
    lists = Lists.of([[5, 6], [], [7]]).and_then([[8], []])
    owners, values = lists.spread(np.array([0, 0, 1, 3]), np.array([2, 1, 0, 3]))
    assert (owners.tolist(), values.tolist()) == ([0, 1, 1, 3], [7, 5, 6, 8])


def test_numbers_are_found_among_ordered_ones() -> None:
    assert found_in(np.array([1, 4, 9]), np.array([0, 1, 4, 5, 9, 10])).tolist() == [0, 1, 1, 0, 1, 0]
    assert found_in(np.array([], np.int64), np.array([1])).tolist() == [False]
