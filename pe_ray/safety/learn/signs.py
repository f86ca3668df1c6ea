"""The view of the model of danger: words as the rules read them, and what each sentence is about.

    signs("My uncle hits her.")  ->  ["my", "uncle", "hits", "her", ".", MARK "female", MARK "hit", ..., MARK "hit+kin"]

A few hundred sentences hold few of the words that people use for a danger. `data/crisis_concepts.toml` says which words
do the same work, so that what was learnt of an uncle and a fist is known of a stepfather and a belt.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain, combinations
from sys import intern

from pe_ray.safety.learn.marks import MARK
from pe_ray.safety.normalise import Pieces, fold

WORD = re.compile(r"[a-z0-9']+|[^\sa-z0-9']")
SENTENCE = re.compile(r"[.?!\n]")
MOST_CONCEPTS = 20
"""Of one sentence; a longer one is a list or a paragraph without full stops, and its pairs say little."""


def signs(text: str) -> list[str]:
    """Tokens and marks of one text."""
    pieces = fold(text).split(" ")
    found = list(chain.from_iterable(map(_TOKENS.__getitem__, pieces)))
    about: set[str] = set()
    for concepts_, ends in filter(None, map(_SAYS.__getitem__, pieces)):
        about.update(concepts_)
        if ends and about:
            found += _marks(tuple(sorted(about)[:MOST_CONCEPTS]))
            about.clear()
    return found + list(_marks(tuple(sorted(about)[:MOST_CONCEPTS])))


def _says(piece: str) -> tuple[tuple[str, ...], bool] | None:
    """What a piece of folded text is about, and whether it ends a sentence; None for most."""
    parts = SENTENCE.split(piece)
    about = dict.fromkeys(c for part in parts for word in part.split() for c in concepts(word))
    return (tuple(about), len(parts) > 1) if about or len(parts) > 1 else None


_TOKENS, _SAYS = Pieces(lambda piece: tuple(WORD.findall(piece))), Pieces(_says)


@lru_cache(maxsize=1 << 15)
def concepts(word: str) -> tuple[str, ...]:
    """What a word is about; nothing for most."""
    exact, stems = _lexicon()
    return tuple(dict.fromkeys((*exact.get(word, ()), *(c for stem, c in stems if word.startswith(stem)))))


@lru_cache(maxsize=1 << 14)
def _marks(about: tuple[str, ...]) -> tuple[str, ...]:
    """Each concept of a sentence, and each two of them."""
    pairs = (f"{a}+{b}" for a, b in combinations(about, 2))
    return tuple(intern(MARK + sign) for sign in (*about, *pairs))  # one string each, however many sentences have it


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
