"""What one row of a source must hold: typed access to its keys, and one clear Fault where it does not hold it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any


class Fault(ValueError):
    """What is wrong with one row: the field, and what would be right."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


def text(data: dict[str, Any], name: str) -> str:
    """The text under `name`; raises Fault if it is missing, of another type, or empty."""
    if name not in data:
        near = difflib.get_close_matches(name, list(data), n=1, cutoff=0.75)
        hint = f" (there is a key {near[0]!r})" if near else ""
        raise Fault(name, f"is missing{hint}; text is wanted")
    value = data[name]
    if not isinstance(value, str):
        raise Fault(name, f"is {kind(value)}; text is wanted")
    if not value.strip():
        raise Fault(name, "is empty; at least one word is wanted")
    return value


def label(data: dict[str, Any], name: str, default: str = "") -> str:
    """A short label under `name`, stripped; the default if it is absent."""
    if name not in data and default:
        return default
    return text(data, name).strip()


def labels(data: dict[str, Any], name: str) -> list[str]:
    """A list of labels, stripped and in lower case, without doubles; one text with commas counts as a list."""
    value = data.get(name, [])
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(i, str) for i in items):
        raise Fault(name, f"is {kind(value)}; a list of texts is wanted")
    parts = (part.strip().casefold() for item in items for part in item.split(","))
    return list(dict.fromkeys(p for p in parts if p))


def texts(data: dict[str, Any], name: str) -> list[str]:
    """A list of texts, as written."""
    value = data.get(name, [])
    if not isinstance(value, list) or not all(isinstance(i, str) for i in value):
        raise Fault(name, f"is {kind(value)}; a list of texts is wanted")
    return [v.strip() for v in value if v.strip()]


def objects(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects."""
    value = data.get(name)
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise Fault(name, "is missing or no list of objects")
    return value


def flag(data: dict[str, Any], name: str) -> bool:
    """A true or false under `name` (as a table writes it: in words); anything else is a Fault, never coerced."""
    if name not in data:
        raise Fault(name, "is missing; true or false is wanted")
    value = data[name]
    if isinstance(value, str) and value.strip().casefold() in ("true", "false"):
        return value.strip().casefold() == "true"
    if not isinstance(value, bool):
        raise Fault(name, f"is {kind(value)}; true or false is wanted")
    return value


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """`value`, if it is allowed; raises Fault. The value is named only where it looks like a label."""
    if value in allowed:
        return value
    shown = repr(value) if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", value) else f"a text of {len(value)} characters"
    near = difflib.get_close_matches(value, allowed, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(allowed)} is wanted"
    raise Fault(name, f"{shown} is not known; {hint}")


def kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return "an object" if isinstance(value, dict) else names.get(type(value), "null")
