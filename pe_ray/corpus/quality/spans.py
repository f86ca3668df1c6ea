"""Where in a record a check saw what it says: places for `pe-ray corpus explain`, for the eyes of whoever may read it.

A place is a rule, a message and characters of it. They are found anew from the record as it was judged, so that no
words and no places are kept beside a corpus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pe_ray.corpus.quality import appropriateness, authenticity, evidence, naturalness, prejudice, words
from pe_ray.record import Record

MOST = 12
"""Places of one check that are told."""
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


@dataclass(frozen=True)
class Place:
    """A rule of a check, and where it was found: the message, counted from 0, and its characters."""

    check: str
    rule: str
    message: int
    start: int
    end: int


def places(record: Record) -> list[Place]:
    """The places of every check that can show some, at most `MOST` of each."""
    found: list[Place] = []
    for check, rows in _by_check(record):
        for number, row in enumerate(rows):
            if number == MOST:
                break
            found.append(Place(check, *row))
    return found


def _by_check(record: Record) -> Iterator[tuple[str, Iterator[tuple[str, int, int, int]]]]:
    yield "coherence", _shared(record)
    yield naturalness.NAME, naturalness.spans(record)
    rules = ((s.rule, s.message, s.start, s.end) for s in appropriateness.explain_spans(record))
    yield appropriateness.NAME, rules
    yield evidence.NAME, ((c.rule or "agrees", c.message, c.start, c.end) for c in evidence.claims(record))
    yield prejudice.NAME, prejudice.spans(record)
    yield authenticity.NAME, authenticity.spans(record)


def _shared(record: Record) -> Iterator[tuple[str, int, int, int]]:
    """The first place of each word of an answer whose stem stands in the question."""
    asked = words.content(record.text_of("user"))
    told: set[str] = set()
    for number, message in enumerate(record.messages):
        for match in WORD.finditer(message.text) if message.role == "assistant" else ():
            stem, weight = words.weigh(re.sub("['’]", "", match.group()).casefold())
            if weight and stem in asked and stem not in told:
                told.add(stem)
                yield "shared stem", number, match.start(), match.end()
