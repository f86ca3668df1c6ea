"""Many phrases as one regular expression that shares their beginnings.

A plain alternation of some hundred phrases tries each of them at every word; as a tree of letters a word costs a few
comparisons. Phrases are in small letters with plain apostrophes; a star at the end stands for up to twenty letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def alternation(phrases: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds whole words and phrases, the longest at each place; give it `plain` text."""
    tree: dict[str, Any] = {}
    for phrase in phrases:
        node = tree
        for letter in phrase:
            node = node.setdefault(letter, {})
        node[""] = {}
    return re.compile(rf"\b{_branches(tree)}\b")


def plain(text: str) -> str:
    """Small letters and plain apostrophes, character by character, so that places stay what they are."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c if len(c.lower()) > 1 else c.lower() for c in text)
    return low.replace("’", "'")


def _branches(node: dict[str, Any]) -> str:
    """The regular expression of a tree of letters; where a phrase ends, longer ones are tried before it."""
    longer = [_pattern(letter) + _branches(below) for letter, below in sorted(node.items()) if letter]
    if not longer:
        return ""
    joined = longer[0] if len(longer) == 1 and "" not in node else f"(?:{'|'.join(longer)})"
    return joined + ("?" if "" in node else "")


def _pattern(letter: str) -> str:
    return {"*": r"\w{0,20}", " ": r"\s"}.get(letter) or re.escape(letter)
