"""The words of many texts at once, as numbers: what `words` says of each text, worked out once for each word.

A token is what stands between two characters that are neither letters, digits nor apostrophes. It is looked up in one
dictionary; all else (stems, weights, which rules could match) is arithmetic over columns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, islice
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.quality import words
from pe_ray.safety.gate import Gate
from pe_ray.safety.normalise import readings

KNOWN_TOKENS = 1 << 18
"""A larger vocabulary is forgotten before the next batch, so that a long run keeps its memory."""
BORDER, STOP = "\x01", "\x02"
"""Tokens that begin a text and end a sentence; they are taken out of the texts themselves."""
SENTENCE_END = re.compile("[.?!\n…]")
REPLACED = tuple(
    (sign.encode(), instead.encode())
    for signs, instead in (("’", ""), ("\u00a0–—‘“”", " "), (".?!\n…", f" {STOP} "))
    for sign in signs
)
PLAIN = bytes(ord(chr(c).lower()) if chr(c).isalnum() or chr(c) in (BORDER, STOP) else 32 for c in range(128))
LETTERS = PLAIN + bytes(range(128, 256))
"""For `bytes.translate`: capitals small, a space for every other sign; beyond ASCII nothing changes."""
MASK_BITS = 62

Ints = NDArray[np.int64]
Rules = Sequence[tuple[Sequence[str], Sequence[str]]]


@dataclass(frozen=True)
class Bag:
    """Features of T texts, each once for each text, in the order of texts and then of numbers."""

    text: Ints
    feature: Ints
    weight: NDArray[np.float64]

    @property
    def keys(self) -> Ints:
        """One number for a text and a feature, in order."""
        return self.text << 32 | self.feature

    def part(self, first: int, last: int) -> Bag:
        """The texts first..last - 1, counted from 0."""
        a, b = np.searchsorted(self.text, (first, last))
        return Bag(self.text[a:b] - first, self.feature[a:b], self.weight[a:b])


@dataclass(frozen=True)
class Read:
    """What was found in T texts."""

    num_words: Ints
    stems: Bag
    likely: list[list[int]]
    """(T,) the sentences of each text in which a rule could match, counted from 0; `SENTENCE_END` parts them."""
    apart: NDArray[np.bool_]
    """Whether four letters stand apart in a row, which may be words of any kind."""

    def part(self, first: int, last: int) -> Read:
        """The texts first..last - 1, counted from 0."""
        stems = self.stems.part(first, last)
        return Read(self.num_words[first:last], stems, self.likely[first:last], self.apart[first:last])


@dataclass(frozen=True)
class Lists:
    """A list of numbers for each item; that of item i is `values[starts[i]:starts[i + 1]]`."""

    starts: Ints
    values: Ints

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Lists:
        starts = np.fromiter(accumulate(map(len, lists), initial=0), np.int64, len(lists) + 1)
        return cls(starts, np.array([v for row in lists for v in row], np.int64))

    def and_then(self, lists: Sequence[Sequence[int]]) -> Lists:
        """With the lists of further items."""
        more = Lists.of(lists)
        starts = np.concatenate([self.starts, more.starts[1:] + self.starts[-1]])
        return Lists(starts, np.concatenate([self.values, more.values]))

    def spread(self, owners: Ints, items: Ints) -> tuple[Ints, Ints]:
        """Every value of these items, each with the owner of its item."""
        starts = self.starts[items]
        counts = self.starts[items + 1] - starts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(owners, counts), self.values[np.repeat(starts, counts) + within]


class _Numbers(dict[bytes, int]):
    """Token -> its number; new tokens are numbered as they come."""

    def __missing__(self, token: bytes) -> int:
        return self.setdefault(token, len(self))


class Vocabulary:
    """Grows with the texts that it reads; it tells where one of the `rules` could match."""

    def __init__(self, rules: Rules) -> None:
        gate = Gate.of(rules)
        self.fragments = gate.masks
        needed = [mask for mask, _ in gate.patterns]
        self.num_masks = 1 + max((mask.bit_length() for mask in needed), default=0) // MASK_BITS
        self.needed = self._split(needed)
        self.epoch = 0
        self._forget()

    def _forget(self) -> None:
        self.epoch += 1
        self.numbers, self.num_known = _Numbers({BORDER.encode(): 0, STOP.encode(): 1}), 0
        self.roots: dict[str, int] = {}
        self.base = np.zeros(0)
        self.num_words, self.single = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        self.masks = np.zeros((self.num_masks, 0), np.int64)
        self.stems = Lists.of([])

    def trim(self) -> None:
        """Forget all if it has grown too large; numbers from before mean nothing afterwards."""
        if len(self.numbers) > KNOWN_TOKENS:
            self._forget()

    def read(self, texts: Sequence[str]) -> Read:
        """Read texts of any kind."""
        number = self._numbers_of(_tokens(texts))
        self._learn()
        border = np.flatnonzero(number == 0)
        text = np.repeat(np.arange(len(texts)), np.diff(border, append=len(number)))
        stems = _bag(*self.stems.spread(text, number), self.base)
        num_words = np.bincount(text, self.num_words[number], len(texts)).astype(np.int64)
        return Read(num_words, stems, self._likely(text, number, border), self._apart(text, number, len(texts)))

    def _numbers_of(self, tokens: pa.DictionaryArray) -> Ints:
        numbers = [self.numbers[t] for t in tokens.dictionary.view(pa.binary()).to_pylist()]
        found: Ints = np.array(numbers, np.int64)[tokens.indices.to_numpy()]
        return found

    def names_from(self, first: int) -> list[str]:
        """The stems from a number on."""
        return list(islice(self.roots, first, None))

    def _learn(self) -> None:
        """Work out the tokens that were not known before."""
        if self.num_known == len(self.numbers):
            return
        tokens = list(self.numbers)[self.num_known :]
        num_roots = len(self.roots)
        spelt = [words.WORD.findall(t.decode("utf-8", "surrogatepass").casefold()) for t in tokens]
        weighed = [[(root, value) for root, value in map(words.weigh, row) if value] for row in spelt]
        self.stems = self.stems.and_then([[self._root(root) for root, _ in row] for row in weighed])
        values = dict(pair for row in weighed for pair in row)
        new = list(self.roots)[num_roots:]
        self.base = np.concatenate([self.base, [values[root] for root in new]])
        self.num_words = np.concatenate([self.num_words, [len(row) for row in spelt]]).astype(np.int64)
        self.single = np.concatenate([self.single, [len(t) == 1 and t.isalpha() for t in tokens]]).astype(np.bool_)
        self.masks = np.concatenate([self.masks, self._split([self._mask(t) for t in tokens])], axis=1)
        self.num_known = len(self.numbers)

    def _root(self, root: str) -> int:
        return self.roots.setdefault(root, len(self.roots))

    def _mask(self, token: bytes) -> int:
        """Bits of whatever a rule might read in a token; of one beyond ASCII nothing is said (`UNUSUAL`)."""
        if not token.isalnum():
            return 0
        return reduce(or_, (self.fragments[w] for form in readings(token.decode()) for w in form.split()), 0)

    def _split(self, masks: Sequence[int]) -> Ints:
        """(num_masks, len(masks)) the masks in pieces that a column of numbers can hold."""
        low = (1 << MASK_BITS) - 1
        return np.array([[m >> MASK_BITS * i & low for m in masks] for i in range(self.num_masks)], np.int64)

    def _likely(self, text: Ints, number: Ints, border: Ints) -> list[list[int]]:
        """(T,) the sentences that hold what some rule needs."""
        starts = np.flatnonzero(number <= 1)  # a border or a stop
        found = np.zeros(len(starts), np.bool_)
        masks = np.bitwise_or.reduceat(self.masks[:, number], starts, axis=1) if len(starts) else self.masks[:, :0]
        for needed in self.needed.T.tolist():
            rows = np.arange(len(starts))
            for piece, bits in zip(masks, needed, strict=True):
                rows = rows[piece[rows] & bits == bits] if bits else rows
            found[rows] = True
        likely: list[list[int]] = [[] for _ in border]
        for sentence in np.flatnonzero(found).tolist():
            owner = int(text[starts[sentence]])
            likely[owner].append(sentence - int(np.searchsorted(starts, border[owner])))
        return likely

    def _apart(self, text: Ints, number: Ints, num_texts: int) -> NDArray[np.bool_]:
        words = number != 1  # letters may be set apart by full stops
        single = np.concatenate([self.single[number[words]], np.zeros(3, np.bool_)])
        four = single[:-3] & single[1:-2] & single[2:-1] & single[3:]
        return np.bincount(text[words][four], minlength=num_texts) > 0


def found_in(ordered: Ints, wanted: Ints) -> NDArray[np.bool_]:
    """Which of the wanted numbers stand among the ordered ones."""
    if not len(ordered):
        return np.zeros(len(wanted), np.bool_)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[place] == wanted
    return found


def _tokens(texts: Sequence[str]) -> pa.DictionaryArray:
    """The tokens of all texts, with borders before them and stops in them; apostrophes are taken out."""
    if any(BORDER in text or STOP in text for text in texts):
        texts = [text.replace(BORDER, " ").replace(STOP, " ") for text in texts]
    data = "".join(f" {BORDER} {text}" for text in texts).encode("utf-8", "surrogatepass")
    for sign, instead in REPLACED:
        data = data.replace(sign, instead)
    data = data.translate(LETTERS, b"'").strip(b" ")
    whole = pa.array([data] if data else [], pa.binary()).view(pa.string())
    return pc.ascii_split_whitespace(whole).flatten().dictionary_encode()


def _bag(text: Ints, feature: Ints, base: NDArray[np.float64]) -> Bag:
    """Each feature of each text once; repeats count by their logarithm, as in `words.content`."""
    key, count = np.unique(text << 32 | feature, return_counts=True)
    logs = np.array([1 + math.log(n) for n in range(1, int(count.max(initial=0)) + 1)])
    found = key & 0xFFFFFFFF
    return Bag(key >> 32, found, base[found] * logs[count - 1])
