"""The phrases of diagnostic criteria: how many of the following, for how long, what is ruled out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pe_ray.corpus.knowledge.criteria_set import Bound, Duration

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUM = rf"(?:{'|'.join(NUMBERS)}|\d{{1,2}})"
SIGNS = r"(?:symptoms?|items?|features?|criteria|signs?|behaviou?rs?)"

OF_FOLLOWING = rf"(?:of|from)\s+(?:any\s+of\s+)?(?:the|these)\s+(?:{NUM}\s+)?(?:following|{SIGNS}\s+(?:below|listed))"
COUNTED = re.compile(
    rf"\b(?P<num>{NUM})\b(?:\s*\(?\s*or\s+(?:more|both|all)\s*\)?)?(?:\s+{SIGNS})?\s+{OF_FOLLOWING}", re.I
)
ANY = re.compile(r"\b(?:either|any)\b(?:\s*\(?\s*or\s+both\s*\)?)?\s+of\s+the\s+following", re.I)
BOTH = re.compile(r"\bboth\s+of\s+the\s+following", re.I)
ALL = re.compile(r"\b(?:all|each)\s+of\s+the\s+following", re.I)
CORE = re.compile(
    rf"\b(?:at\s+least\s+)?(?P<num>{NUM})\s+of\s+(?:the|these)\s*(?:{SIGNS})?\s+"
    r"(?:is|are|must\s+(?:be|include)|should\s+(?:be|include))\b(?P<which>[^.;]*)",
    re.I,
)
LABEL = re.compile(r"\((\d{1,2})\)|\b[Cc]riteri(?:on|a)\s+(\d{1,2})\b|(?<=or )(\d{1,2})\b")
ALTERNATIVES = re.compile(r"\band/or\b|\beither\b|\b\(?\w+\)?\s+or\s+\(?\w+\)?,?\s+or\s+both\b", re.I)

UNIT = r"(?P<unit>minute|hour|day|week|month|year)s?\b(?!\s+(?:of\s+age|old)\b)"
AMOUNT = rf"(?P<amount>{NUM}|\d{{3}}|an?)[\s-]+(?:consecutive[\s-]+)?"
DURATIONS: tuple[tuple[Bound, re.Pattern[str]], ...] = (
    (
        "within",
        re.compile(
            rf"\b(?:during|within|in|over)\s+(?:the\s+same|the|an?|any)\s+{AMOUNT}{UNIT}(?:[\s-]+period)?", re.I
        ),
    ),
    ("within", re.compile(rf"\bwithin\s+{AMOUNT}{UNIT}", re.I)),
    ("more_than", re.compile(rf"\b(?:more|longer)\s+than\s+{AMOUNT}{UNIT}", re.I)),
    ("at_least", re.compile(rf"\b(?:at\s+least|a\s+minimum\s+of|no\s+less\s+than)\s+{AMOUNT}{UNIT}", re.I)),
    ("at_least", re.compile(rf"\b{AMOUNT}{UNIT}\s+or\s+(?:more|longer)", re.I)),
    ("at_least", re.compile(rf"\b(?:for|lasting|lasts?)\s+{AMOUNT}{UNIT}", re.I)),
)
"""The bound that a phrase sets; of several in a text, the one that stands first counts."""

EXCLUDES = re.compile(
    r"\bnot\s+(?:\w+\s+)?(?:attributable|due)\s+to\b|\bnot\s+(?:\w+\s+)?better\s+(?:explained|accounted\s+for)\b|"
    r"\bnot\s+(?:occur|present)\s+(?:exclusively|only)\b|\bhas\s+never\s+(?:been|met)\b|\bnever\s+been\s+an?\b|"
    r"\bnot\s+(?:the\s+)?(?:direct\s+)?(?:physiological\s+)?(?:an?\s+)?(?:effects?|results?)\s+of\b",
    re.I,
)


@dataclass(frozen=True)
class Count:
    """How many of a list are needed; `whole` means all of them."""

    needed: int = 0
    whole: bool = False


def count(text: str) -> Count | None:
    """How many of the following a criterion asks for, or None if it names no number."""
    if found := COUNTED.search(text):
        return Count(number(found["num"]))
    if BOTH.search(text):
        return Count(2)
    if ALL.search(text):
        return Count(whole=True)
    return Count(1) if ANY.search(text) else None


def core(text: str) -> tuple[int, tuple[str, ...]]:
    """How many have to be among which ("at least one is either (1) low mood or (2) loss of interest")."""
    found = CORE.search(text)
    labels = tuple(next(filter(None, m.groups())) for m in LABEL.finditer(found["which"])) if found else ()
    return (number(found["num"]), labels) if found and labels else (0, ())


def duration(text: str) -> Duration | None:
    """The first span of time that a text asks for; an age is none."""
    found = [(m.start(), -m.end(), bound, m) for bound, pattern in DURATIONS if (m := pattern.search(text))]
    if not found:
        return None
    _, _, bound, match = min(found, key=lambda f: f[:2])
    return Duration(bound, number(match["amount"]), match["unit"].casefold())


def number(word: str) -> int:
    folded = word.casefold()
    if folded in ("a", "an"):
        return 1
    return NUMBERS.index(folded) + 1 if folded in NUMBERS else int(folded)
