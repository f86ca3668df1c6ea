"""JSON that may be cut in the middle: what stands whole before the cut is read, and the cut is a problem."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from pe_ray.corpus.row import Fault, kind
from pe_ray.corpus.transcripts.cue import Problem

LIST = re.compile(r'"(events|segments|utterances|results)"\s*:\s*([\[{])')


def load(words: str) -> tuple[Any, Problem | None]:
    """The value of a JSON text, or as much of its list as can be read, and what is wrong with it."""
    try:
        return json.loads(words), None
    except json.JSONDecodeError as error:
        problem = Problem(error.lineno, "json", f"is not JSON from here: {error.msg} at column {error.colno}")
        return _whole_items(words), problem
    except (ValueError, RecursionError):  # an integer of thousands of digits, or brackets nested without end
        return None, Problem(0, "json", "cannot be held; a list of short objects is wanted")


def number(item: dict[str, Any], *names: str) -> float | None:
    """The first of these keys that is there, as a finite number; None if none is. Raises Fault for anything else."""
    name = next((n for n in names if item.get(n) is not None), None)
    if name is None:
        return None
    value = item[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise Fault(name, f"is {kind(value)} that cannot be used; a finite number is wanted")
    return float(value)


def seconds(item: dict[str, Any], *names: str) -> float | None:
    """A time: a number that is not below zero."""
    value = number(item, *names)
    if value is not None and value < 0:
        raise Fault(names[0], "is below zero; seconds from the beginning are wanted")
    return value


def share(item: dict[str, Any], *names: str) -> float | None:
    """A probability: a number from 0 to 1."""
    value = number(item, *names)
    if value is not None and not 0 <= value <= 1:
        raise Fault(names[0], "is outside 0 to 1; a probability is wanted")
    return value


def _whole_items(words: str) -> Any:
    """The items of the first list that stand whole before the place where the text breaks, under their key."""
    opening = re.match(r"\s*\[", words)
    if opening:
        return _items(words, opening.end())
    for found in LIST.finditer(words):
        if found[2] == "[":
            return {found[1]: _items(words, found.end())}
    return None


def _items(words: str, at: int) -> Sequence[Any]:
    decoder, comma = json.JSONDecoder(), re.compile(r"[\s,]*")
    items: list[Any] = []
    while True:
        step = comma.match(words, at)
        assert step
        try:
            item, at = decoder.raw_decode(words, step.end())
        except (ValueError, RecursionError):
            return items
        items.append(item)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False
