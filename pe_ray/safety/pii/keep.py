"""What must survive: crisis lines, toll-free numbers, and the addresses of those who help.

A help line that was masked is a person who cannot call, so where a number could be either, it is kept.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache

from pe_ray.safety.pii.lexicon import data
from pe_ray.safety.rules import read

TOLL_FREE = (
    (
        r"(?:(?:\+|00)?1[ .\-]?)?\(?8(?:00|33|44|55|66|77|"
        r"88)\)?[ .\-]{0,2}[0-9A-Z]{3}[ .\-]?[0-9A-Z]{2,4}(?:[ .\-]?[0-9A-Z]{1,4})?"
    ),
    r"(?:(?:\+|00)44[ .\-]?(?:\(0\)[ .\-]?)?|0)8(?:00|08)(?:[ .\-]?[0-9]{2,4}){1,3}",  # UK, Ireland, Germany, ...
    r"1[38]00(?:[ .\-]?[0-9]{2,4}){2,3}",  # Australia
    r"(?:(?:\+|00)[0-9]{2}[ .\-]?)?116[ .\-]?[0-9]{3}",  # Europe's numbers of social value
    r"\+800(?:[ .\-]?[0-9]{2,4}){2,3}",
)


def help_numbers(text: str) -> list[tuple[int, int]]:
    """Where crisis lines and toll-free numbers stand in a text."""
    return [m.span() for m in _numbers().finditer(text)]


def is_help_host(host: str) -> bool:
    """Whether a domain, or the one above it, belongs to somebody who helps or to a government."""
    parts = host.casefold().rstrip(".").split(".")
    if parts[-1] == "gov" or parts[-2:] in (["gov", "uk"], ["gov", "au"], ["nhs", "uk"]):
        return True
    return any(".".join(parts[i:]) in _hosts() for i in range(len(parts) - 1))


def is_help_handle(handle: str) -> bool:
    """Whether an account, without its @, is that of an organisation that helps."""
    return handle.casefold() in data("keep")["handles"]


@cache
def organisations() -> re.Pattern[str]:
    """Names of organisations and figures that hold a person's name."""
    return re.compile(rf"\b(?:{'|'.join(data('keep')['organisations'])})(?!\w)")


@cache
def _numbers() -> re.Pattern[str]:
    listed = {*data("keep")["numbers"], *_in_resources()}
    digits = sorted({re.sub(r"\D", "", n) for n in listed}, key=lambda d: (-len(d), d))
    exact = "|".join(r"[ .\-]?".join(d) for d in digits)
    return re.compile(rf"(?<![\w+\-./])(?<!\d )(?:{'|'.join(TOLL_FREE)}|{exact})(?![\w]|[-./]\d)")


def _in_resources() -> set[str]:
    return {n.strip() for line in _lines() for n in re.findall(r"\d[\d \-]+\d", line["contact"])}


@cache
def _hosts() -> frozenset[str]:
    sources = (re.sub(r"^https?://(?:www\d?\.)?", "", line["source"]).split("/")[0] for line in _lines())
    return frozenset({*data("keep")["hosts"], *sources})


@cache
def _lines() -> tuple[dict[str, str], ...]:
    return tuple(tomllib.loads(read("resources"))["line"])
