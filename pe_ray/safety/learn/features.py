"""What a small model sees of a text: its words, their neighbours and their letters, hashed to numbers.

    read = Reader(Recipe(letters=(2, 5))).read(["I am tired.", ""])

A token is looked up once and remembered with the numbers of its letters, so that a batch costs a dictionary look-up per
word. Hashes are CRC-32 and 64-bit arithmetic: the same on every platform. Only numpy is needed.

Legend: N texts, T tokens of all texts, F features.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_ray.safety.learn.marks import MARK
from pe_ray.safety.learn.views import VIEWS

Ints = NDArray[np.int64]
KNOWN_TOKENS = 1 << 16
"""A larger vocabulary is forgotten before the next batch, so that a long run keeps its memory."""
LONG_TOKEN = 40
"""Letters beyond this are not looked at: no word has them."""
SPENT: Ints = np.zeros(0, np.int64)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Recipe:
    """What is counted; it is saved with a model, which reads texts as it was taught to."""

    view: str = "plain"
    """How a text becomes tokens: a row of `VIEWS`."""
    bits: int = 20
    """Features are hashed to 2**bits numbers."""
    words: int = 2
    """Longest row of tokens that counts as one feature."""
    skips: bool = False
    """Whether two tokens with one between them count as well."""
    letters: tuple[int, int] = (2, 5)
    """Shortest and longest piece of a word; (0, 0) for none."""

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise ValueError(f"view={self.view}: one of {', '.join(VIEWS)} would be right")
        if not (8 <= self.bits <= 24 and 1 <= self.words <= 4 and 0 <= self.letters[0] <= self.letters[1] <= 8):
            raise ValueError(f"no such recipe: {self}")

    def as_dict(self) -> dict[str, Any]:
        """For a card."""
        return asdict(self) | {"letters": list(self.letters)}

    @classmethod
    def of(cls, body: dict[str, Any]) -> Recipe:
        """From a card; raises ValueError or TypeError where it says what no recipe has."""
        unknown = set(body) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown keys {sorted(unknown)}")
        return cls(**{**body, "letters": tuple(body["letters"])})


@dataclass(frozen=True)
class Read:
    """N texts as numbers: `token_T` of all texts in a row, `text_T` whose they are, and rows of tokens apart."""

    num: int
    token_T: Ints
    text_T: Ints
    rows: tuple[tuple[Ints, Ints], ...]
    """Hashed rows of tokens and whose they are, by kind: pairs, triples, pairs with a gap."""
    size_N: NDArray[np.float64]
    """Number of features of each text; a text of none has 1, so that one may divide by it."""


@dataclass(frozen=True)
class Bag:
    """The features of N texts as rows of a sparse matrix, each with the weight 1 / sqrt(features of its text)."""

    starts: Ints
    feature: Ints
    weight: NDArray[np.float64]


class Reader:
    """Numbers the tokens that it meets; `epoch` changes when it forgets them."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.tokens: Callable[[str], list[str]] = VIEWS[recipe.view]
        self.mask = np.uint64((1 << recipe.bits) - 1)
        self.epoch = 0
        self._forget()

    def _forget(self) -> None:
        self.numbers = _Numbers()
        self.hash = np.zeros(0, np.uint64)
        self.marks = np.zeros(0, np.bool_)
        self.counts = np.zeros(0, np.int64)
        self.own: list[Ints] = []
        """(V,) the features of each token by itself: the token and its letters."""

    def read(self, texts: Sequence[str]) -> Read:
        """Read texts of any kind; cost is linear in their length."""
        if len(self.numbers) > KNOWN_TOKENS:
            self.epoch += 1
            self._forget()
        said = [self.tokens(text) for text in texts]
        flat = list(chain.from_iterable(said))
        token_T = np.fromiter(map(self.numbers.__getitem__, flat), np.int64, len(flat))
        self._learn()
        text_T = np.repeat(np.arange(len(said)), np.fromiter(map(len, said), np.int64, len(said)))
        rows = self._rows(token_T, text_T)
        size_N = np.bincount(text_T, self.counts[token_T], len(said))
        for _, row_text_R in rows:
            size_N += np.bincount(row_text_R, minlength=len(said))
        return Read(len(said), token_T, text_T, rows, np.maximum(size_N, 1.0))

    def bag(self, texts: Sequence[str]) -> Bag:
        """Every feature of every text, for training."""
        read = self.read(texts)
        if read.num == 0:
            return Bag(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0))
        own = [self.own[t] for t in read.token_T.tolist()]
        text = np.concatenate(
            [np.repeat(read.text_T, self.counts[read.token_T]), *(owner_R for _, owner_R in read.rows)]
        )
        feature = np.concatenate([*own, *(row_R for row_R, _ in read.rows), np.zeros(0, np.int64)])
        order = np.argsort(text, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(text, minlength=read.num))])
        return Bag(starts, feature[order], 1 / np.sqrt(read.size_N)[text[order]])

    def spend(self, known: int) -> list[Ints]:
        """The features of the tokens from a number on; they are let go, so that a long run keeps its memory."""
        new = self.own[known:]
        self.own[known:] = [SPENT] * len(new)
        return new

    def marked(self) -> NDArray[np.bool_]:
        """(2**bits,) which features are marks, of those met so far."""
        found = np.zeros(1 << self.recipe.bits, np.bool_)
        for number in np.flatnonzero(self.marks).tolist():
            found[self.own[number]] = True
        return found

    def _learn(self) -> None:
        """Hash the tokens that are new."""
        new = list(self.numbers)[len(self.own) :]
        if not new:
            return
        self.hash = np.concatenate([self.hash, np.array([_hash(t) for t in new], np.uint64)])
        self.marks = np.concatenate([self.marks, np.array([t[:1] == MARK for t in new], np.bool_)])
        self.own += [self._pieces(t) for t in new]
        self.counts = np.concatenate([self.counts, np.array([len(o) for o in self.own[-len(new) :]], np.int64)])

    def _pieces(self, token: str) -> Ints:
        """The numbers of a token and of its letters; a mark and a sign have no letters."""
        hashes = [_hash(token)]
        low, high = self.recipe.letters
        if high and token[:1] != MARK and len(token) > 1:
            padded = f"<{token[:LONG_TOKEN]}>"
            for size in range(max(low, 1), high + 1):
                hashes += [_hash(padded[i : i + size], size) for i in range(len(padded) - size + 1)]
        return (_mixed(np.array(hashes, np.uint64)) & self.mask).astype(np.int64)

    def _rows(self, token_T: Ints, text_T: Ints) -> tuple[tuple[Ints, Ints], ...]:
        """Pairs, triples and so on of neighbours within a text; marks stand behind its words and have none."""
        plain_T = ~self.marks[token_T]
        hash_T, text_T = self.hash[token_T[plain_T]], text_T[plain_T]
        found: list[tuple[Any, Ints]] = []
        row_T = hash_T
        for size in range(2, self.recipe.words + 1):
            ahead = len(hash_T) - size + 1
            if ahead <= 0:
                break
            row_T = _mixed(row_T[:ahead] * np.uint64(31 + size)) ^ hash_T[size - 1 :]
            alike_T = text_T[:ahead] == text_T[size - 1 :]
            found.append((_mixed(row_T[alike_T]), text_T[:ahead][alike_T]))
        if self.recipe.skips and len(hash_T) > 2:
            alike_T = text_T[:-2] == text_T[2:]
            found.append((_mixed(_mixed(hash_T[:-2] * np.uint64(91)) ^ hash_T[2:])[alike_T], text_T[:-2][alike_T]))
        return tuple(((row_R & self.mask).astype(np.int64), owner_R) for row_R, owner_R in found)


class _Numbers(dict[str, int]):
    """Token -> its number, in the order in which tokens were met."""

    def __missing__(self, token: str) -> int:
        return self.setdefault(token, len(self))


def _hash(token: str, salt: int = 0) -> int:
    raw = token.encode("utf-8", "surrogatepass")
    return zlib.crc32(raw, salt) << 32 | zlib.crc32(raw, ~salt & 0xFFFFFFFF)


def _mixed(hash_T: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits, so that the lowest ones depend on all of them (the finisher of splitmix64)."""
    hash_T = hash_T + _MIX
    hash_T = (hash_T ^ (hash_T >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hash_T = (hash_T ^ (hash_T >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hash_T ^ (hash_T >> np.uint64(31))
