"""The eighteen identifiers of HIPAA's Safe Harbor (45 CFR 164.514(b)(2)), and what looks for each: a table to report.

Read the right column with the left: most are found where they are written plainly or after a cue, and not otherwise.
This is no Safe Harbor de-identification: dates of events, places below a state, and what a story gives away stay.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identifier:
    """One identifier: the types of finding that look for it (none: not looked for), and what slips through."""

    name: str
    types: tuple[str, ...]
    missing: str


SAFE_HARBOR = (
    Identifier(
        "names", ("name",), "names in no list without a cue; names in lower case, but after 'my name is'; nicknames"
    ),
    Identifier(
        "places below a state",
        ("address", "zip"),
        "towns, schools and employers by their name; spelt-out house numbers",
    ),
    Identifier(
        "dates but the year, ages over 89", ("birth_date",), "dates of events, admission and death; ages over 89"
    ),
    Identifier(
        "telephone numbers",
        ("phone",),
        "numbers spelt in words; seven digits without a cue; toll-free numbers, on purpose",
    ),
    Identifier("fax numbers", ("phone",), "as telephone numbers"),
    Identifier("mail addresses", ("email",), "addresses of those who help, on purpose"),
    Identifier(
        "social security numbers", ("ssn",), "nine digits without hyphens or a cue; numbers that are never given out"
    ),
    Identifier("medical record numbers", ("record_number",), "numbers without a cue"),
    Identifier("health plan numbers", ("record_number",), "numbers without a cue"),
    Identifier("account numbers", ("record_number", "iban", "card"), "bank accounts without a cue"),
    Identifier(
        "certificate and licence numbers", ("id_document",), "numbers without a cue, but UK national insurance numbers"
    ),
    Identifier("vehicle identifiers", ("vehicle",), "plates without a cue"),
    Identifier("device identifiers", ("mac", "record_number"), "serial numbers without a cue"),
    Identifier(
        "web addresses", ("url",), "addresses of those who help, on purpose; rare top-level domains without a scheme"
    ),
    Identifier("IP addresses", ("ip",), "this machine's own"),
    Identifier("biometric identifiers", (), "not in text"),
    Identifier("photographs", (), "not in text"),
    Identifier("any other unique mark", ("username",), "what a story gives away: a rare event, a post, an office held"),
)
