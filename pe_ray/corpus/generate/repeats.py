"""Was this said before? By the same words, or by most of them: an index of all that a run has taken so far.

A text is remembered by the digest of its words and by the `KEPT` smallest hashes of its word 5-grams, from which the
Jaccard similarity of two texts follows closely enough. The corpus removes near-duplicates with proof later; this is
here so that a repeat is asked for again while the model is still at hand.
"""

from __future__ import annotations

import heapq
import re
import zlib
from collections import Counter, defaultdict

from pe_ray.record import digest

KEPT = 16
GRAM = 5
SHARED = 4
"""Hashes that two texts must share before they are compared."""
MOST = 0.5
"""Similarity from which a text is a repeat."""
WORD = re.compile(r"\w+")


class Repeats:
    """The texts of a run."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._sketches: list[frozenset[int]] = []
        self._holders: dict[int, list[int]] = defaultdict(list)

    def knows(self, text: str) -> bool:
        """Whether this text, or one very like it, was remembered."""
        words = WORD.findall(text.casefold())
        if digest(*words) in self._exact:
            return True
        sketch = _sketch(words)
        near = Counter(i for h in sketch for i in self._holders.get(h, ()))
        return any(_alike(sketch, self._sketches[i]) >= MOST for i, n in near.items() if n >= SHARED)

    def remember(self, text: str) -> None:
        """Take a text in."""
        words = WORD.findall(text.casefold())
        self._exact.add(digest(*words))
        sketch = _sketch(words)
        for h in sketch:
            self._holders[h].append(len(self._sketches))
        self._sketches.append(sketch)


def _sketch(words: list[str]) -> frozenset[int]:
    grams = {" ".join(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)}
    return frozenset(heapq.nsmallest(KEPT, {zlib.crc32(g.encode()) for g in grams}))


def _alike(a: frozenset[int], b: frozenset[int]) -> float:
    smallest = heapq.nsmallest(KEPT, a | b)
    return sum(h in a and h in b for h in smallest) / len(smallest)
