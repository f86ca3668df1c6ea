"""Which rules could match at all? Words that a pattern cannot do without, read from the pattern itself.

    required("(?:kill|harm)(?:ing)? my ?self")  ->  [{^kill, ^harm}, {^my}, {self$}]

A clause is a set of fragments: letters and digits in a row, with ^ and $ where a word begins and ends. At least one of
them stands in every text that matches. A `Gate` knows the clauses of many rules; a text's words, each looked up once
and remembered as a bit mask, tell which rules are worth trying. A gate may let too much through and never too little,
so it changes what a text costs and never what is found in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

from pe_ray.safety.stems import FUNCTION_WORDS

MOST_SPELLINGS = 400
"""A row of letters with more spellings than this is cut in two."""
LEAST_LETTERS = 2
"""A shorter fragment says nothing, unless it is a whole word."""
KNOWN_WORDS, LONG_WORD = 1 << 16, 40

COMMON = "".join(f"^{word}$" for word in sorted(FUNCTION_WORDS | {"going", "want", "got", "get", "said", "like"}))
"""Words that stand in most texts, as fragments see them."""

Clause = frozenset[str]
Patterns = Sequence[tuple[int, int]]
"""All bits that a pattern needs, and the number of its rule."""
NUMBER = re.compile(r"\d{3}")
"""A long number is not remembered: it seldom comes again, and may be somebody's."""
RUN = re.compile("[a-z0-9]+")
MARKED = re.compile("[a-z0-9^$]+")


@dataclass(frozen=True)
class Gate:
    """Many rules by what their patterns need, each pattern filed under its most telling clause."""

    patterns: Patterns
    loose: tuple[int, ...]
    """Places of the patterns without a clause: they always could match."""
    masks: Masks
    filed: Filed

    @classmethod
    def of(cls, rules: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Gate:
        """A gate over pairs (patterns, needs): a pattern counts only where one of the substrings in needs is too.

        Patterns are taken to stand between word boundaries.
        """
        bits: dict[Clause, int] = {}
        found: list[tuple[int, int]] = []
        under: dict[int, list[int]] = {}
        for number, (patterns, needs) in enumerate(rules):
            for clauses in ({*required(p), *_any_of(needs)} for p in patterns):
                mask = reduce(or_, (bits.setdefault(c, 1 << len(bits)) for c in clauses), 0)
                key = bits[max(clauses, key=_worth)] if clauses else 0
                under.setdefault(key, []).append(len(found))
                found.append((mask, number))
        fragments: dict[str, int] = {}
        for clause, bit in bits.items():
            for fragment in clause:
                fragments[fragment] = fragments.get(fragment, 0) | bit
        loose, masks = tuple(under.pop(0, ())), Masks(fragments)
        return cls(tuple(found), loose, masks, Filed(masks, under))

    def read(self, text: str) -> int:
        """Bits that a folded text sets."""
        return reduce(or_, map(self.masks.__getitem__, text.split()), 0)

    def narrow(self, text: str, mask: int | None = None) -> Patterns:
        """The patterns that could match somewhere in a folded text, or in a part of it; `mask` if it was read."""
        places = set(self.loose).union(*filter(None, map(self.filed.__getitem__, text.split())))
        if not places:
            return []
        mask = self.read(text) if mask is None else mask
        return [pattern for pattern in map(self.patterns.__getitem__, places) if pattern[0] & mask == pattern[0]]

    def possible(self, text: str, among: Patterns | None = None) -> list[int]:
        """Numbers of the rules that could match in a folded text, in order; `among` narrowed patterns, or all."""
        if among is None:
            return sorted({number for _, number in self.narrow(text)})
        return allowed(among, self.read(text))


def allowed(among: Patterns, mask: int) -> list[int]:
    """Numbers of the rules whose patterns a text with these bits does not rule out, in order."""
    return sorted({number for needed, number in among if needed & mask == needed})


class Masks(dict[str, int]):
    """Word -> bits of the clauses that it satisfies; each is looked up once, and all are forgotten when too many."""

    def __init__(self, bits: dict[str, int]) -> None:
        super().__init__()
        self.bits = bits
        self.longest = max(map(len, bits), default=0)

    def __missing__(self, word: str) -> int:
        found = reduce(or_, map(self._of_run, RUN.findall(word)), 0)
        if len(self) >= KNOWN_WORDS:
            self.clear()
        if len(word) <= LONG_WORD and not NUMBER.search(word):
            self[word] = found
        return found

    def _of_run(self, run: str) -> int:
        marked = f"^{run}$"
        if len(run) > LONG_WORD:
            return reduce(or_, (bits for fragment, bits in self.bits.items() if fragment in marked), 0)
        parts = (
            marked[start:end]
            for start in range(len(marked))
            for end in range(start + LEAST_LETTERS, min(len(marked), start + self.longest) + 1)
        )
        return reduce(or_, (self.bits.get(part, 0) for part in parts), 0)


class Filed(dict[str, frozenset[int]]):
    """Word -> places of the patterns that are filed under one of its bits; remembered as masks are."""

    def __init__(self, masks: Masks, under: Mapping[int, Sequence[int]]) -> None:
        super().__init__()
        self.masks, self.under = masks, under
        self.every = reduce(or_, under, 0)

    def __missing__(self, word: str) -> frozenset[int]:
        rest, places = self.masks[word] & self.every, set[int]()
        while rest:
            bit = rest & -rest
            rest ^= bit
            places.update(self.under[bit])
        if len(self) >= KNOWN_WORDS:
            self.clear()
        if len(word) <= LONG_WORD and not NUMBER.search(word):
            self[word] = frozenset(places)
        return frozenset(places)


@dataclass(frozen=True)
class Sieve:
    """The same for a few patterns, without a look at each word: are their fragments anywhere in the text?"""

    patterns: tuple[tuple[tuple[str, ...], ...], ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Sieve:
        """A sieve for patterns that stand between word boundaries."""
        return cls(tuple(tuple(tuple(f.strip("^$") for f in clause) for clause in required(p)) for p in patterns))

    def passes(self, text: str) -> bool:
        """Whether one of the patterns could match in a folded text."""
        return any(all(any(f in text for f in clause) for clause in clauses) for clauses in self.patterns)


def required(pattern: str) -> list[Clause]:
    """The clauses of a pattern in lower case; none where nothing can be said."""
    return _cut(_read(sre_parser.parse(pattern), True, True), True).clauses


@dataclass
class _Reading:
    """Part of a pattern: its clauses, and the spellings of the letters since the last cut.

    `whole`: no cut so far, so that the spellings are all that the part can match.
    """

    clauses: list[Clause]
    row: set[str]
    whole: bool = True


def _read(nodes: Any, left: bool, right: bool) -> _Reading:
    """`left` and `right`: whether a word surely begins before these nodes, and surely ends after them."""
    reading = _Reading([], {"^" if left else ""})
    nodes = list(nodes)
    for i, (operator, argument) in enumerate(nodes):
        rest = nodes[i + 1 :]
        if operator is sre.LITERAL:
            _spell(reading, {chr(argument)})
        elif operator is sre.IN:
            _spell(reading, {chr(code) if kind is sre.LITERAL else "" for kind, code in argument})
        elif operator is sre.SUBPATTERN:
            _part(reading, [argument[-1]], rest, right)
        elif operator is sre.BRANCH:
            _part(reading, argument[1], rest, right)
        elif operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            _repeat(reading, argument, rest, right)
        elif operator not in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):  # these take no character
            _cut(reading, False)
    return reading


def _spell(reading: _Reading, letters: set[str]) -> None:
    """One character more, any of these; a cut if one is no letter or digit."""
    if all(map(RUN.fullmatch, letters)) and len(reading.row) * len(letters) <= MOST_SPELLINGS:
        reading.row = {row + c for row in reading.row for c in letters}
        return
    no_letters = all(len(c) == 1 and c.isascii() and not RUN.fullmatch(c) for c in letters)
    _cut(reading, no_letters, begins=no_letters)


def _part(reading: _Reading, alternatives: Sequence[Any], rest: Any, right: bool) -> None:
    """One of several parts: joined to the row if all are plain letters, else a clause over the best of each."""
    left, ends = reading.row == {"^"}, _begins_apart(rest, right)
    parts = [_read(a, left, ends) for a in alternatives]
    spellings = {s for p in parts for s in p.row}
    if all(p.whole for p in parts) and len(reading.row) * len(spellings) <= MOST_SPELLINGS:
        reading.row = spellings if left else {row + s for row in reading.row for s in spellings}
        return
    branch = [(sre.BRANCH, (None, alternatives))]
    _cut(reading, _begins_apart([*branch, *rest], right), begins=_begins_apart(branch, left, reverse=True))
    parts = [_cut(p, ends) for p in parts]
    if len(parts) == 1:
        reading.clauses += parts[0].clauses
    elif all(p.clauses for p in parts):
        reading.clauses.append(_shortest(f for p in parts for f in max(p.clauses, key=_worth)))


def _repeat(reading: _Reading, repeat: tuple[int, int, Any], rest: Any, right: bool) -> None:
    least, most, nodes = repeat
    if least == most == 1 or (least, most) == (0, 1):
        _part(reading, [nodes] if least else [nodes, []], rest, right)
        return
    left = reading.row == {"^"}
    again = [(sre.MAX_REPEAT, repeat)]
    _cut(reading, _begins_apart([*again, *rest], right), begins=_begins_apart(again, left, reverse=True))
    if least:
        reading.clauses += _cut(_read(nodes, False, False), False).clauses


def _cut(reading: _Reading, ends: bool, begins: bool = False) -> _Reading:
    """The row stops here, with a word's end if `ends`; a clause if all of its spellings are long enough to say much."""
    row = {f"{w}$" if ends else w for w in reading.row}
    if all(map(_says_much, row)):
        reading.clauses.append(_shortest(row))
    reading.row, reading.whole = {"^" if begins else ""}, False
    return reading


def _says_much(fragment: str) -> bool:
    letters = len(fragment.strip("^$"))
    return letters >= LEAST_LETTERS or (letters == 1 and len(fragment) == 3)


def _shortest(fragments: Iterable[str]) -> Clause:
    """Without the fragments that hold another one."""
    found = set(fragments)
    return frozenset(w for w in found if not any(v != w and v in w for v in found))


def _worth(clause: Clause) -> tuple[int, int, int]:
    """Which clause lets fewer texts through, roughly: with few small words, of long fragments, and of few."""
    return -sum(map(COMMON.count, clause)), min(map(len, clause)), -len(clause)


def _begins_apart(nodes: Any, outer: bool, reverse: bool = False) -> bool:
    """Whether what these nodes match surely begins (in reverse: ends) with something that is no letter or digit."""
    order = list(nodes)[::-1] if reverse else list(nodes)
    for i, (operator, argument) in enumerate(order):
        rest = order[i + 1 :]
        if reverse:
            rest = rest[::-1]

        def also(inner: Any, rest: Any = rest) -> bool:
            return _begins_apart([*rest, *inner] if reverse else [*inner, *rest], outer, reverse)

        if operator is sre.LITERAL:
            return argument < 128 and not RUN.fullmatch(chr(argument))
        if operator is sre.SUBPATTERN:
            return also(argument[-1])
        if operator is sre.BRANCH:
            return all(also(a) for a in argument[1])
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            return also(argument[2]) and (argument[0] > 0 or also([]))
        if operator not in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
            return False
    return outer


def _any_of(needs: Sequence[str]) -> list[Clause]:
    """What a list of substrings asks for: the longest word, or part of one, of each."""
    parts = (MARKED.findall(re.sub("[^a-z0-9]+", "$ ^", need)) for need in needs)
    longest = [max(marked, key=lambda w: len(w.strip("^$")), default="") for marked in parts]
    return [_shortest(longest)] if longest and all(map(_says_much, longest)) else []
