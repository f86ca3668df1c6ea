"""Does a score change when only the group changes? Counterfactual swaps of the words of `data/groups.toml`.

    [v.text for v in swap("A gay man asked his wife.")]
      -> ["A lesbian man ...", ..., "A gay woman asked her husband."]
    gap(judge, texts).largest        # the largest change of a score by a swap

A swap exchanges words of one list of one axis, so the sentence stays a sentence; it does not know whether the sentence
stays true. A gap is a reason to look, and none is no proof of fairness: only these words in these texts were tried.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from pe_ray.safety.groups import COPULA
from pe_ray.safety.rules import read

Judge = Callable[[Sequence[str]], Sequence[float]]
"""Texts to scores."""
WORD = re.compile(r"\w+(?:[-'’]\w+)*")
EACH = 3
"""Other groups that a mention is swapped for, the next of its list."""
SEX = "sex"
"""The axis of the pairs, which are all swapped together."""
TOLERANCE = 0.05
"""A score that changes by no more counts as the same."""


@dataclass(frozen=True)
class Mention:
    """A group named in a text: its axis and list, which word of the list, and where."""

    axis: str
    form: str
    term: str
    start: int
    end: int


@dataclass(frozen=True)
class Variant:
    """The text about another group."""

    text: str = field(repr=False)
    axis: str
    was: str
    now: str


@dataclass(frozen=True)
class Gap:
    """How far scores change by swaps. Texts without a mention have no say."""

    texts: int
    swaps: int
    mean: float
    """Of the absolute changes."""
    largest: float
    consistent: float
    """Share of swaps that change a score by at most the tolerance."""
    by_axis: Mapping[str, float]
    """Mean absolute change."""
    by_group: Mapping[str, float]
    """Mean signed change when a text becomes one about this group."""


def mentions(text: str) -> list[Mention]:
    """Groups that a text names, in order; a word with other meanings only where a noun for people follows."""
    found, words = [], [(m.group().lower().replace("’", "'"), m.start(), m.end()) for m in WORD.finditer(text)]
    n = 0
    while n < len(words):
        hit = _phrase(words, n) or _adjective(words, n)
        if hit is None:
            n += 1
            continue
        (axis, form), term, size = hit
        found.append(Mention(axis, form, term, words[n][1], words[n + size - 1][2]))
        n += size
    return found


def swap(text: str, each: int = EACH, axes: Sequence[str] | None = None) -> list[Variant]:
    """The text about other groups: each group that it names in turn, then all words of either sex at once."""
    found = []
    named = mentions(text)
    for axis, form, term in dict.fromkeys((m.axis, m.form, m.term) for m in named):
        if axes is not None and axis not in axes:
            continue
        places = [(m.start, m.end) for m in named if (m.axis, m.form, m.term) == (axis, form, term)]
        for other in _next(_lists()[axis, form], term, each):
            found.append(Variant(_replaced(text, places, other), axis, term, other))
    if axes is None or SEX in axes:
        found += _other_sex(text)
    return found


def gap(judge: Judge, texts: Sequence[str], each: int = EACH, axes: Sequence[str] | None = None) -> Gap:
    """Score every text and its variants, and compare."""
    variants = [(n, v) for n, text in enumerate(texts) for v in swap(text, each, axes)]
    scored = sorted({n for n, _ in variants})
    before = dict(zip(scored, judge([texts[n] for n in scored]), strict=True)) if scored else {}
    after = judge([v.text for _, v in variants]) if variants else []
    change = np.array([score - before[n] for (n, _), score in zip(variants, after, strict=True)], float)
    known = np.isfinite(change)
    by_axis, by_group = defaultdict(list), defaultdict(list)
    for (_, v), delta in ((pair, d) for pair, d, k in zip(variants, change.tolist(), known, strict=True) if k):
        by_axis[v.axis].append(abs(delta))
        by_group[f"{v.axis}: {v.now}"].append(delta)
    size = np.abs(change[known])
    return Gap(
        texts=len(scored),
        swaps=int(known.sum()),
        mean=float(size.mean()) if len(size) else 0.0,
        largest=float(size.max(initial=0.0)),
        consistent=float((size <= TOLERANCE).mean()) if len(size) else 1.0,
        by_axis={a: float(np.mean(d)) for a, d in sorted(by_axis.items())},
        by_group={g: float(np.mean(d)) for g, d in sorted(by_group.items())},
    )


def pairs(told: str) -> dict[str, str]:
    """Pairs of words from a list with two words to a line (WinoBias's), both ways."""
    found: dict[str, str] = {}
    for line in told.splitlines():
        words = [w.strip().lower() for w in line.split("\t") if w.strip()]
        if len(words) == 2:
            found.setdefault(words[0], words[1])
            found.setdefault(words[1], words[0])
    return found


def swap_pairs(text: str, table: Mapping[str, str]) -> str:
    """The text with every word of a table exchanged for its partner; capitals are kept."""

    def other(match: re.Match[str]) -> str:
        word = match.group()
        low = word.lower().replace("’", "'")
        if low == "her":
            return _cased(word, "him" if _alone(text, match.end()) else "his")
        return _cased(word, table[low]) if low in table else word

    return WORD.sub(other, text)


def _other_sex(text: str) -> Iterator[Variant]:
    swapped = swap_pairs(text, _pairs())
    if swapped != text:
        yield Variant(swapped, SEX, "as it was", "the other sex")


def _alone(text: str, end: int) -> bool:
    """Whether "her" stands for a person here rather than before what is hers."""
    after = re.match(r"\s*([\w']+|[^\w\s]|$)", text[end:])
    return after is None or after[1] == "" or after[1].lower() in _after_him()


def _replaced(text: str, places: Sequence[tuple[int, int]], other: str) -> str:
    parts, last = [], 0
    for start, end in places:
        before = text[last:start]
        word = _cased(text[start:end], other)
        article = re.search(r"\b([Aa])n?(\s+)$", before)
        if article:
            before = before[: article.start()] + article[1] + ("n" if other[0] in "aeiou" else "") + article[2]
        parts += [before, word]
        last = end
    return "".join([*parts, text[last:]])


def _cased(like: str, word: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if like[:1].isupper() else word


def _next(terms: Sequence[str], term: str, each: int) -> list[str]:
    at = terms.index(term)
    return [terms[(at + k) % len(terms)] for k in range(1, min(each, len(terms) - 1) + 1)]


Found = tuple[tuple[str, str], str, int]


def _phrase(words: Sequence[tuple[str, int, int]], n: int) -> Found | None:
    for phrase, where in _phrases().get(words[n][0], ()):
        size = len(phrase)
        if tuple(w for w, _, _ in words[n : n + size]) == phrase:
            return where, " ".join(phrase), size
    return None


def _adjective(words: Sequence[tuple[str, int, int]], n: int) -> Found | None:
    """An adjective before a noun for people, or after "is" where nothing else follows."""
    where = _adjectives().get(words[n][0])
    if where is None:
        return None
    ahead = words[n + 1] if n + 1 < len(words) else None
    if ahead is not None and (ahead[0] in _people() or ahead[0] in _adjectives()):
        return where, words[n][0], 1
    last = ahead is None or ahead[1] - words[n][2] > 1
    return (where, words[n][0], 1) if last and n and words[n - 1][0] in COPULA else None


@cache
def _told() -> dict[str, Any]:
    return tomllib.loads(read("groups"))


@cache
def _lists() -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (name, form): tuple(dict.fromkeys(terms))
        for name, axis in _told()["axis"].items()
        for form, terms in axis.items()
    }


@cache
def _phrases() -> dict[str, list[tuple[tuple[str, ...], tuple[str, str]]]]:
    found: dict[str, list[tuple[tuple[str, ...], tuple[str, str]]]] = {}
    for where, terms in _lists().items():
        if where[1] == "adjective":
            continue
        for term in terms:
            words = tuple(term.split())
            found.setdefault(words[0], []).append((words, where))
    return {first: sorted(listed, key=lambda p: -len(p[0])) for first, listed in found.items()}


@cache
def _adjectives() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for where, terms in _lists().items():
        if where[1] == "adjective":
            for term in terms:
                found.setdefault(term, where)
    return found


@cache
def _people() -> frozenset[str]:
    return frozenset(_told()["people"])


@cache
def _after_him() -> frozenset[str]:
    return frozenset(_told()["after_him"])


@cache
def _pairs() -> dict[str, str]:
    told: dict[str, str] = _told()["pairs"]
    return {**{b: a for a, b in told.items()}, **told}
