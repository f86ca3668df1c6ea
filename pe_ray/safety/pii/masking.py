"""The doors: `find` says where personal data stands, `replace` puts surrogates in its place.

    gate (a few microseconds)  ->  patterns with validators, names  ->  presidio's recognisers, a model of names

The gate decides for numbers and addresses with one cheap expression, and for names by a look at the capitalised words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pe_ray.safety.pii import keep
from pe_ray.safety.pii.cues import CAPITALS, LOWER_NEEDS
from pe_ray.safety.pii.lexicon import fold, lexicon
from pe_ray.safety.pii.names import find_names, may_hold_names
from pe_ray.safety.pii.numbers import find_numbers
from pe_ray.safety.pii.online import DOT, SPELT_DOT, find_online
from pe_ray.safety.pii.phones import find_phones
from pe_ray.safety.pii.places import find_births, find_places
from pe_ray.safety.pii.spans import Span, merge
from pe_ray.safety.pii.surrogate import surrogate

Tier = Literal["patterns", "presidio"]

DIGITS = "0123456789"
SIGNS = f"{DIGITS}@/_"
"""One of these, a dot before a letter, or a spelt "dot" stands in every mail, number, address and account."""
SIGN_OR_CUE = rf"[{SIGNS}]|\.[A-Za-z]|(?i:dot)|{'|'.join(map(re.escape, LOWER_NEEDS))}"  # of RE2, over a column
"""What every text has that holds more than a capitalised name."""
BEFORE, AFTER = 72, 160
"""How far a cue may stand before its number, and a town behind its house number, in characters."""
MOST_PASSES = 8
LIKE_HELP_LINES = frozenset({"phone", "card", "ssn", "record_number", "id_document", "iban"})
"""Types that a help line's number could be taken for."""


def may_hold(text: str) -> bool:
    """The gate: False for a text in which `find` (without a model of names) finds nothing."""
    return may_hold_patterns(text) or may_hold_names(text, lexicon())


def may_hold_each(texts: pa.StringArray) -> list[bool]:
    """`may_hold` of each text of a column: one expression over all of them, then a look at the capitalised words."""
    lex = lexicon()
    quiet = lex.common - lex.gate
    signs = pc.match_substring_regex(texts, SIGN_OR_CUE).to_pylist()
    return [
        may_hold(text) if sign else not quiet.issuperset(CAPITALS.findall(text)) and may_hold_names(text, lex)
        for text, sign in zip(texts.to_pylist(), signs, strict=True)
    ]


def may_hold_patterns(text: str) -> bool:
    """The gate's first half: anything but names."""
    # thirteen substring searches cost a sixth of one expression that has them all
    if any(map(text.__contains__, SIGNS)) or DOT.search(text) is not None:
        return True
    return "dot" in text.lower() and SPELT_DOT.search(text) is not None


def find(
    text: str,
    *,
    tier: Tier = "patterns",
    ner: Path | None = None,
    known: frozenset[str] = frozenset(),
    exempt: frozenset[str] = frozenset(),
) -> list[Span]:
    """Personal data in a text: spans in order that do not overlap.

    `known` are folded words that are names in this record, `exempt` folded names that are nobody's (personas). Raises
    UserError if presidio or the model at `ner` is asked for and cannot be loaded.
    """
    spans: list[Span] = []
    if may_hold_patterns(text):
        spans += _find_patterns(text)
        if tier == "presidio":
            from pe_ray.safety.pii.breadth import find_more

            spans += find_more(text)
    if known or may_hold_names(text, lexicon()):
        spans += find_names(text, known)
    if ner is not None:
        from pe_ray.safety.pii.ner import find_by_model

        spans += find_by_model(text, ner)
    return merge(_allowed(text, spans, exempt)) if spans else []


def replace(
    text: str,
    key: bytes,
    *,
    tier: Tier = "patterns",
    ner: Path | None = None,
    known: frozenset[str] = frozenset(),
    exempt: frozenset[str] = frozenset(),
) -> tuple[str, Counter[str]]:
    """The text with a surrogate for each finding, and how many of each type were replaced.

    Repeats until nothing changes, since a neighbour of what was replaced may look different now; so a second call finds
    nothing to do.
    """
    counts: Counter[str] = Counter()
    for _ in range(MOST_PASSES):
        after, changed = put(text, find(text, tier=tier, ner=ner, known=known, exempt=exempt), key)
        counts += changed
        if after == text:
            break
        text = after
    return text, counts


def put(text: str, spans: list[Span], key: bytes) -> tuple[str, Counter[str]]:
    """The text with surrogates at the spans, and how many of each type changed it."""
    pieces, start = [], 0
    counts: Counter[str] = Counter()
    for span in spans:
        value = text[span.start : span.end]
        stand_in = surrogate(span.type, value, key)
        counts[span.type] += stand_in != value
        pieces += [text[start : span.start], stand_in]
        start = span.end
    return "".join([*pieces, text[start:]]), +counts


def _find_patterns(text: str) -> Iterator[Span]:
    yield from find_online(text)
    for lo, hi in _around_digits(text):
        low = text[lo:hi].lower()
        num_digits = sum(map(low.count, DIGITS))
        yield from find_numbers(text, lo, hi, low, num_digits)
        yield from find_places(text, lo, hi, num_digits)
        yield from find_births(text, lo, hi, low)
        if num_digits >= 7:
            yield from find_phones(text, lo, hi)


def _around_digits(text: str) -> list[tuple[int, int]]:
    """The stretches that any pattern with a digit can reach; most of a long text is never looked at."""
    stretches: list[tuple[int, int]] = []
    for match in re.finditer(r"[0-9]+", text):
        lo, hi = max(0, match.start() - BEFORE), min(len(text), match.end() + AFTER)
        if stretches and lo <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], hi)
        else:
            stretches.append((lo, hi))
    return stretches


def _allowed(text: str, spans: list[Span], exempt: frozenset[str]) -> Iterator[Span]:
    """Findings that are no help line, no organisation and no persona."""
    helping = keep.help_numbers(text) if any(s.type in LIKE_HELP_LINES for s in spans) else []
    named = [m.span() for m in keep.organisations().finditer(text)] if any(s.type == "name" for s in spans) else []
    for span in spans:
        if span.type == "name":
            if any(span.overlaps(*n) for n in named) or not exempt.isdisjoint(_words(text, span)):
                continue
        elif span.type in LIKE_HELP_LINES and any(span.overlaps(*h) for h in helping):
            continue
        yield span


def _words(text: str, span: Span) -> list[str]:
    return [fold(w) for w in re.findall(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*", text[span.start : span.end])]
