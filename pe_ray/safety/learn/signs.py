"""The view of the model of danger: words as the rules read them, and what each sentence is about.

    signs("My uncle hits her.")  ->  ["my", "uncle", "hits", "her", ".", MARK "female", MARK "hit", ..., MARK "hit+kin"]

A few hundred sentences hold few of the words that people use for a danger. `data/crisis_concepts.toml` says which words
do the same work, so that what was learnt of an uncle and a fist is known of a stepfather and a belt.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain, combinations

from pe_ray.safety.learn.marks import MARK
from pe_ray.safety.normalise import KNOWN_PIECES, LONG_PIECE, fold

WORD = re.compile(r"[a-z0-9']+|[^\sa-z0-9']")
SENTENCE = re.compile(r"[.?!\n]")
MOST_CONCEPTS = 20
"""Of one sentence; a longer one is a list or a paragraph without full stops, and its pairs say little."""


def signs(text: str) -> list[str]:
    """Tokens and marks of one text."""
    words = fold(text).split(" ")
    read = list(map(_READ.__getitem__, words))
    found = list(chain.from_iterable(r.tokens for r in read))
    about: set[str] = set()
    for piece in read:
        about.update(piece.about)
        if piece.ends and about:
            found += _marks(tuple(sorted(about)[:MOST_CONCEPTS]))
            about.clear()
    return found + list(_marks(tuple(sorted(about)[:MOST_CONCEPTS])))


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two spaces of a folded text: its tokens, what it is about, and whether a sentence ends."""

    tokens: tuple[str, ...]
    about: tuple[str, ...]
    ends: bool


class _Read(dict[str, _Piece]):
    """Piece of a folded text -> what it says; a piece with a full stop inside it is about the sentence that it ends."""

    def __missing__(self, piece: str) -> _Piece:
        parts = SENTENCE.split(piece)
        about = dict.fromkeys(c for part in parts for word in part.split() for c in concepts(word))
        read = _Piece(tuple(WORD.findall(piece)), tuple(about), len(parts) > 1)
        if len(self) >= KNOWN_PIECES:
            self.clear()
        if len(piece) <= LONG_PIECE:
            self[piece] = read
        return read


_READ = _Read()


@lru_cache(maxsize=1 << 15)
def concepts(word: str) -> tuple[str, ...]:
    """What a word is about; nothing for most."""
    exact, stems = _lexicon()
    return tuple(dict.fromkeys((*exact.get(word, ()), *(c for stem, c in stems if word.startswith(stem)))))


@lru_cache(maxsize=1 << 14)
def _marks(about: tuple[str, ...]) -> tuple[str, ...]:
    """Each concept of a sentence, and each two of them."""
    return (*(f"{MARK}{c}" for c in about), *(f"{MARK}{a}+{b}" for a, b in combinations(about, 2)))


@cache
def _lexicon() -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, str], ...]]:
    raw = (files("pe_ray.safety.learn") / "data" / "crisis_concepts.toml").read_text(encoding="utf-8")
    exact: dict[str, tuple[str, ...]] = {}
    stems: list[tuple[str, str]] = []
    for concept, words in tomllib.loads(raw).items():
        for word in words.split():
            if word.endswith("*"):
                stems.append((word[:-1], concept))
            else:
                exact[word] = (*exact.get(word, ()), concept)
    return exact, tuple(stems)
