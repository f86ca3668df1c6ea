"""Parts of a provider's reply, taken as what they should be or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_TOKENS = 10_000_000
"""A count above this is no count."""


def words(value: Any) -> str:
    """A text; empty where there is none."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """A number of tokens; None where it is not one."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if good else None


def total(usage: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The sum of some counts, of which the first must be there."""
    found = [count(usage.get(name)) for name in names]
    return None if found[0] is None else sum(n for n in found if n)
