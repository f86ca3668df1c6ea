"""What is said of a group, by whom, and in what frame: a text as the bias model reads it.

    grouped("I don't think women are lazy.")
      -> ["i", "do", "not", "think", "<g>", "are", "lazy", ".", marks of "I not think <g> BAD"]

Which group it is stays hidden (`safety.groups`), and so does, in the marks, which word it is: a word is replaced by the
heading of `data/charge.toml` under which it stands. So "vermin" and "maggots" are one, and a sentence that quotes,
denies or condemns has another shape than one that asserts, whatever its words are.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache

from pe_ray.safety.bias import CRITICAL
from pe_ray.safety.gate import Patterns
from pe_ray.safety.groups import GROUP, masked
from pe_ray.safety.learn.marks import MARK
from pe_ray.safety.normalise import fold
from pe_ray.safety.rules import load, read

WORD = re.compile(r"[a-z0-9']+(?:-[a-z0-9']+)*|[^\sa-z0-9']")
SENTENCE = re.compile(r"[^.?!\n]+[.?!]*\"?")
AGAIN = frozenset({"they", "those", "these", "their", "such"})
"""Words by which a sentence goes on about the group of the one before."""
GOES_ON = 2
"""So many sentences may go on about a group."""
NEAR = 8
"""Words on either side of a group that are marked as said of it."""
LONGEST = 3
"""Longest row of signs that is one mark."""

SIGNS = {GROUP: "G", '"': "Q", "'": "Q", "?": "?"}
SMALL = {
    "not": "N",
    "i": "I",
    "you": "Y",
    "should": "M",
    "if": "F",
    "who": "U",
    "all": "E",
    "some": "T",
    "because": "Z",
    "is": "=",
    "was": "D",
    "than": "L",
    "swear": "O",
}
HEADINGS = {
    "bad": "b",
    "beast": "a",
    "hate": "h",
    "harm": "v",
    "exclude": "x",
    "good": "p",
    "help": "r",
    "victim": "w",
    "critic": "c",
    "say": "s",
}
ENDINGS = ("s", "es", "ed", "d", "ing", "ly", "er", "est", "ness", "ish", "y")


def grouped(text: str, kin: bool = False) -> list[str]:
    """The words of a text with groups hidden, and its marks; a text that names no group and no slur has no marks."""
    plain = fold(text)
    among = load("bias").gate.narrow(plain)
    found: list[str] = []
    signs: list[str] = []
    marks: set[str] = set()
    about = 0
    for match in SENTENCE.finditer(plain):
        sentence = match.group()
        tokens = masked(WORD.findall(sentence), kin)
        found += tokens
        if among:
            marks.update(_rules(sentence, among))
        at = _place(tokens, about)
        about = GOES_ON if GROUP in tokens else about - 1
        if at >= 0:
            marks.update(_near(tokens, at))
            signs += [_sign(GROUP if n == at else t) for n, t in enumerate(tokens)] + ["."]
    if not marks:
        return found
    marks.update(_rows("".join(signs)))
    return found + [MARK + mark for mark in sorted(marks)]


def targets(text: str) -> list[str]:
    """`grouped` where kin are groups too, as RedditBias has it; for measuring, and not for what ships."""
    return grouped(text, kin=True)


def _place(tokens: list[str], about: int) -> int:
    """Where a sentence speaks of a group; -1 where it does not."""
    if GROUP in tokens:
        return tokens.index(GROUP)
    return next((n for n, t in enumerate(tokens) if t in AGAIN), -1) if about > 0 else -1


def _near(tokens: list[str], at: int) -> list[str]:
    before, after = tokens[max(0, at - NEAR) : at], tokens[at + 1 : at + 1 + NEAR]
    return ["group", *(f"<{t}" for t in before), *(f">{t}" for t in after)]


def _rules(sentence: str, among: Patterns) -> list[str]:
    padded = f" {sentence} "
    critical = "critical:" if CRITICAL.search(padded) else ""
    return [f"{critical}{rule.id}" for rule in load("bias").candidates(padded, among) if rule.regex.search(sentence)]


def _rows(signs: str) -> set[str]:
    """Every row of up to `LONGEST` signs."""
    return {"#" + signs[n : n + size] for size in range(1, LONGEST + 1) for n in range(len(signs) - size + 1)}


@lru_cache(maxsize=1 << 14)
def _sign(token: str) -> str:
    """The sign of a word, or nothing where it has none."""
    known = SIGNS.get(token)
    if known is not None:
        return known
    charge = _charge()
    if token in charge:
        return charge[token]
    for ending in ENDINGS:
        stem = token.removesuffix(ending)
        if stem != token and len(stem) > 2:
            for form in (stem, stem + "e", stem[:-1] if stem[-1:] == stem[-2:-1] else stem, stem[:-1] + "y"):
                if form in charge:
                    return charge[form]
    return ""


@cache
def _charge() -> dict[str, str]:
    data = tomllib.loads(read("charge"))
    found: dict[str, str] = {}
    for heading, sign in HEADINGS.items():
        for word in data[heading].split():
            found.setdefault(word, sign)
    found |= {word: sign for heading, sign in SMALL.items() for word in data["small"][heading].split()}
    return found
