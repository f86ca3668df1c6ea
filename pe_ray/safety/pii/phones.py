"""Telephone numbers: forms of the US, the UK and abroad, checked with phonenumbers.

A form that is plain (area code, exchange, line) is taken even where the area code is not in use; bare digits only where
phonenumbers finds them valid. Crisis lines and toll-free numbers are taken out later, by `keep`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pe_ray.safety.pii.spans import Span

EXTENSION = r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?"
NANP = re.compile(
    rf"(?<![\w.$£€#-])(?<!\d )(?:\+?(?:00)?1[ .-]?)?\(?([2-9]\d\d)\)?[ .-]{{0,2}}([2-9]\d\d)[ .-]?(\d{{4}})"
    rf"{EXTENSION}(?![\w]|-\d)"
)
ABROAD = re.compile(
    r"(?<![\w.-])(?:\+|00)[1-9]\d{0,2}(?:[ .-]?\(0\))?(?:[ .-]?\(?\d{1,5}\)?){2,6}" + EXTENSION + r"(?!\w)"
)
NATIONAL = re.compile(r"(?<![\w.$£€#-])\(?0\d{2,5}\)?[ -]?\d{3,4}(?:[ -]?\d{3,4})?(?![\w]|-\d)")
CUED = re.compile(
    r"(?i)\b(?:phone|telephone|tel|mobile|cell|fax|call(?: me| him| her| us)?|text(?: me)?|reach (?:me|him|her|us)|"
    r"whatsapp|"
    r"my number|number is)\b[^\d\n+]{0,24}(\(?\d[\d ().-]{5,16}\d)(?!\w)"
)
REGIONS = ("US", "GB", "AU", "IE", "NZ", "ZA", "IN", "DE", "FR")


def find_phones(text: str, lo: int, hi: int) -> Iterator[Span]:
    """Numbers of seven digits or more in `text[lo:hi]` that can be called."""
    plain = [m.span() for m in NANP.finditer(text, lo, hi) if not m.group().isdigit() or _valid(m.group(), "US")]
    for start, end in plain:
        yield Span(start, end, "phone", 0.7 if text[start:end].isdigit() else 0.95)
    for match in ABROAD.finditer(text, lo, hi):
        if _possible(re.sub(r"^00", "+", match.group())):
            yield Span(*match.span(), "phone", 0.95)
    for match in NATIONAL.finditer(text, lo, hi):
        if 10 <= _num_digits(match.group()) <= 11 and _possible(match.group(), "GB"):
            yield Span(*match.span(), "phone", 0.8)
    for match in CUED.finditer(text, lo, hi):
        number = match.group(1)
        if any(start <= match.start(1) and match.end(1) <= end for start, end in plain):
            continue  # found already, and nine countries are not asked whether a surrogate is theirs
        if re.fullmatch(r"\d{3}[ .-]?\d{4}", number) or any(_valid(number, region) for region in REGIONS):
            yield Span(*match.span(1), "phone", 0.8)


def _num_digits(text: str) -> int:
    return sum(c.isdigit() for c in text)


def _valid(number: str, region: str) -> bool:
    import phonenumbers  # metadata of every country: only where a text has something like a number

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def _possible(number: str, region: str | None = None) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
