"""Documents made for measuring near-duplicate removal: real prose in windows, with copies planted at known rates.

The prose is what every Python installation has: comments and docstrings of the standard library, and the licence
texts of installed packages. It repeats itself as a crawl does (boilerplate, overlapping windows), which is what makes
unverified clusters run away. The same installation and seed give the same documents; another installation gives
others, so compare engines only within one run.
"""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path

WORDS = (60, 220)
"""Length of a document in words, inclusive, uniform."""
COPIES = 0.3
"""Share of the documents that are copies of another one."""
RATES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.06, 0.12)
"""Share of a copy's words that are substituted; drawn uniformly for each copy."""

_PROSE = re.compile(r'^[ \t]*#+[ \t]?(.+)$|"""(.*?)"""', re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"[a-z0-9_\x80-\U0010ffff]+")


@dataclass(frozen=True)
class Planted:
    """Documents in shuffled order, and the pairs of rows (copy, original) among them."""

    texts: list[str] = field(repr=False)
    pairs: list[tuple[int, int]] = field(repr=False)


def plant(documents: int, seed: int = 42) -> Planted:
    """`documents` windows of prose, of which `COPIES` are copies with substituted words."""
    rng = random.Random(seed)
    prose = prose_words()
    num_copies = int(documents * COPIES)
    bodies = [_window(prose, rng) for _ in range(documents - num_copies)]
    origin = [rng.randrange(len(bodies)) for _ in range(num_copies)]
    bodies += [_substitute(bodies[row], rng.choice(RATES), prose, rng) for row in origin]
    order = list(range(documents))
    rng.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    first_copy = documents - num_copies
    pairs = [(place[first_copy + i], place[row]) for i, row in enumerate(origin)]
    return Planted([" ".join(bodies[old]) for old in order], pairs)


def shingles(text: str, ngram: int = 3) -> set[str]:
    """The word n-grams of a text, by the same definition of a word as the engine's, the slow and obvious way."""
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + ngram]) for i in range(len(words) - ngram + 1)}


def jaccard(left: set[str], right: set[str]) -> float:
    """Shared over all; 0 for two empty sets, which share nothing."""
    return len(left & right) / (len(left | right) or 1)


@lru_cache(maxsize=1)
def prose_words() -> tuple[str, ...]:
    """Every word of the prose at hand, in order, with its punctuation."""
    return tuple(word for text in (*_library_prose(), *_licences()) for word in text.split())


def _window(prose: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    length = rng.randint(*WORDS)
    start = rng.randrange(len(prose) - length)
    return prose[start : start + length]


def _substitute(body: tuple[str, ...], rate: float, prose: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.choice(prose) if rng.random() < rate else word for word in body)


def _library_prose() -> Iterator[str]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(root.rglob("*.py")):
        if not {"test", "tests", "site-packages", "dist-packages"} & set(file.relative_to(root).parts):
            source = file.read_text("utf-8", "replace")
            yield from (comment or docstring for comment, docstring in _PROSE.findall(source))


def _licences() -> Iterator[str]:
    """Each distinct licence text of the installed packages, in the order of their names."""
    seen: set[str] = set()
    for distribution in sorted(metadata.distributions(), key=lambda d: (d.metadata["Name"] or "").lower()):
        for file in sorted(distribution.files or (), key=str):
            path = Path(str(distribution.locate_file(file)))
            if file.name.upper().startswith(("LICEN", "COPYING", "NOTICE")) and path.is_file():
                text = path.read_text("utf-8", "replace")
                if text not in seen:
                    seen.add(text)
                    yield text
