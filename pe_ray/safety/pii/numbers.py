"""Numbers that a rule can check: social security, payment cards, IBAN, IP and MAC addresses; and numbers by their cue.

Each `Rule` has a pattern, the fewest digits that a text must hold for it, words of which one must stand in the text,
and a check of what the pattern found. Years, ages, doses, prices and codes of diagnoses fit none of them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pe_ray.safety.pii.spans import Span


def luhn(text: str) -> bool:
    """Whether the digits end in the check digit of payment cards, and open as those in use do (3 to 6, or 22 to 27)."""
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    if not (3 <= digits[0] <= 6 or 22 <= digits[0] * 10 + digits[1] <= 27):
        return False
    doubled = [sum(divmod(2 * d, 10)) if i % 2 else d for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def mod97(text: str) -> bool:
    """Whether an IBAN's check digits fit (ISO 7064)."""
    plain = re.sub(r"\s", "", text)
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def social_security(text: str) -> bool:
    """Numbers that are given out: no area 000 or 666, no group 00, no serial 0000; from area 900 on, taxpayers' ids."""
    digits = re.sub(r"\D", "", text)
    area, group, serial = digits[:3], int(digits[3:5]), digits[5:]
    if area in ("000", "666") or not group or serial == "0000":
        return False
    return area < "900" or 50 <= group <= 65 or 70 <= group <= 88 or group in (90, 91, 92, 94, 95, 96, 97, 98, 99)


def address_of_a_machine(text: str) -> bool:
    """An IP address that could lead to somebody: not this machine itself, and not "::"."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (ip.is_loopback or ip.is_unspecified)


def has_digits(least: int) -> Callable[[str], bool]:
    """A check that so many digits are there."""
    return lambda text: sum(c.isdigit() for c in text) >= least


@dataclass(frozen=True)
class Rule:
    """One kind of number. Where the pattern has a group `value`, that is the finding and the rest its cue."""

    type: str
    pattern: re.Pattern[str] = field(repr=False)
    check: Callable[[str], bool]
    min_digits: int
    needs: tuple[str, ...] = ()
    score: float = 0.95


IS = (
    r"(?:\s{0,2}(?:number|numbers|no\.?|num\.?|id|#|code)){0,2}(?:\s?\([A-Za-z ]{1,20}\))?\s{0,2}(?:is|was|are|:|=|#|"
    r"-)?\s{0,2}(?:is|:|#)?\s{0,2}"
)
CODE = r"(?P<value>[A-Za-z]{0,5}-?\d[\dA-Za-z]*(?:-[\dA-Za-z]+){0,4})(?![\w-])"
RECORD = (
    r"mrn|medical records?|patient (?:id|number|no\.?)|chart (?:id|number|no\.?|#)|(?:health )?plan (?:id|number|"
    r"no\.?)|"
    r"(?:health )?insurance (?:id|number|no\.?)|member(?:ship)? (?:id|number|no\.?)|beneficiary (?:id|number|no\.?)|"
    r"subscriber (?:id|number)|group (?:number|no\.)|policy (?:id|number|no\.?|#)|case (?:id|number|no\.?|#)|"
    r"claim (?:id|number|no\.?|#)|file (?:number|no\.?)|medicare|medicaid|nhs (?:number|no\.?)|account (?:id|number|"
    r"no\.?|#)|"
    r"acct\.?|account:|routing number|sort code|bank account|serial (?:number|no\.?)|device (?:id|number)|"
    r"student (?:id|number)|employee (?:id|number)|badge (?:id|number)|prescription (?:number|no\.?)|rx (?:number|"
    r"no\.?|#)"
)
LICENCE = (
    r"(?:driver[’']?s?[’']? |driving )?licen[cs]e(?: plate)?|passport|national insurance|national id|id card|"
    r"visa number|green card"
)
PLATE = (
    r"licen[cs]e plates?|number plate|plates? (?:number|no\.?)|registration (?:number|plate)|vin|vehicle identification"
)

RULES = (
    Rule(
        "ssn",
        re.compile(r"(?<![\w-])\d{3}([- .])\d{2}\1\d{4}(?![\w]|-\d)"),
        social_security,
        9,
    ),
    Rule(
        "ssn",
        re.compile(r"(?i)\b(?:ssn|social security|itin|taxpayer)" + IS + r"(?P<value>\d{3}[- ]?\d{2}[- ]?\d{4})(?!\w)"),
        social_security,
        9,
        ("ssn", "social security", "itin", "taxpayer"),
    ),
    Rule("card", re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w]|-\d)"), luhn, 13),
    Rule("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), mod97, 8),
    Rule(
        "ip", re.compile(r"(?<![\w.])(?<!version )(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)"), address_of_a_machine, 4, (".",)
    ),
    Rule(
        "ip",
        re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"),
        address_of_a_machine,
        1,
        (":",),
    ),
    Rule(
        "mac",
        re.compile(
            r"(?<![\w:-])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![\w:-])|"
            r"(?<![\w:-])(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}(?![\w:-])"
        ),
        has_digits(1),
        1,
    ),
    Rule(
        "record_number",
        re.compile(rf"(?i)\b(?:{RECORD}){IS}{CODE}"),
        has_digits(5),  # four would take years
        5,
        (
            *(
                "mrn",
                "record",
                "patient",
                "chart",
                "plan",
                "insurance",
                "member",
                "beneficiary",
                "subscriber",
                "group",
                "rx",
            ),
            *("policy", "case", "claim", "file", "medica", "nhs", "account", "acct", "routing", "sort code", "serial"),
            *("device", "student", "employee", "badge", "prescription"),
        ),
    ),
    Rule(
        "record_number",
        re.compile(
            rf"(?i)\b(?:nhs|sort code|account)(?:\s+(?:number|"
            rf"no\.?))?{IS}(?P<value>\d{{2,4}}(?:[ -]\d{{2,4}}){{2,4}})(?![\w-])"
        ),
        has_digits(6),
        6,
        ("nhs", "sort code", "account"),
    ),
    Rule(
        "id_document",
        re.compile(rf"(?i)\b(?:{LICENCE}){IS}{CODE}"),
        has_digits(5),
        5,
        ("licen", "passport", "national", "id card", "visa", "green card"),
    ),
    Rule(
        "id_document", re.compile(r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]\b"), has_digits(6), 6
    ),
    Rule(
        "vehicle",
        re.compile(
            rf"(?i)\b(?:{PLATE}){IS}(?P<value>(?=[\w -]{{0,7}}\d)[A-Z0-9]{{1,4}}[ -]?[A-Z0-9]{{2,5}}|"
            rf"[A-HJ-NPR-Z0-9]{{17}})(?![\w-])"
        ),
        has_digits(1),
        1,
        ("plate", "vin", "registration", "vehicle"),
    ),
)


def find_numbers(text: str, lo: int, hi: int, low: str, num_digits: int) -> Iterator[Span]:
    """The findings of every rule that can apply to `text[lo:hi]`; `low` is that stretch in lower case."""
    for rule in RULES:
        if num_digits < rule.min_digits or (rule.needs and not any(n in low for n in rule.needs)):
            continue
        group = "value" if "value" in rule.pattern.groupindex else 0
        for match in rule.pattern.finditer(text, lo, hi):
            if rule.check(match.group(group)):
                yield Span(*match.span(group), rule.type, rule.score)
