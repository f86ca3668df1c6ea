"""What a text talks about: its content words by stem, weighed.

Weights are fixed (function words 0, common talk a quarter, all else 1), so that a pair of texts can be judged alone: a
verdict never depends on which other records happen to be in the corpus, and needs no pass over it.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache, lru_cache

from pe_ray.safety.stems import FUNCTION_WORDS, WORD, stem, words

__all__ = ["WORD", "content", "stem", "weigh", "words"]

COMMON_WORDS = frozenset(
    """
    feel feeling think thought thing know want need get go going come make take say tell ask talk look see
    find give keep let put try start stop use work help like love good bad better best worse right wrong sure
    hard easy new old big small little long short great real kind sort way day week month year time today
    tomorrow yesterday night morning hour minute moment while life live people person man woman men women
    child children kid friend family home house place world part point end side back able possible happen
    happening seem become turn leave stay bring hold show call mean matter change move set run walk stand sit
    hear listen understand believe remember forget wonder worry care hope wish mind heart body head hand eye
    face voice word question answer reason idea problem situation case issue fact story lose loss miss pain
    hurt sad happy angry afraid scared anxious alone together different enough whole half least therapy
    therapist counsellor counselor counselling counseling session client support step plan choice decide
    decision safe safety sound name notice describe share learn teach read write gently honest fair true clear
    open close away soon later early late ago sometime anymore maybe actually probably especially usually
    simply exactly certainly deal handle cope manage meet wait begin finish allow offer choose accept agree
    expect
    """.split()  # noqa: SIM905
)
COMMON_WEIGHT = 0.25


@lru_cache(maxsize=1 << 16)
def weigh(word: str) -> tuple[str, float]:
    """A word's stem, and how much it says about the subject."""
    if word in FUNCTION_WORDS or len(word) < 2:
        return word, 0.0
    root = stem(word)
    return root, COMMON_WEIGHT if root in _common_stems() else 1.0


def content(text: str) -> dict[str, float]:
    """Content stems of a text and their weights; repeats count by their logarithm."""
    counts = Counter(map(weigh, words(text)))
    return {root: value * (1 + math.log(n)) for (root, value), n in counts.items() if value}


@cache
def _common_stems() -> frozenset[str]:
    return frozenset(stem(w) for w in COMMON_WORDS)
