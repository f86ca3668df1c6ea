"""Words for people by their group: where they stand, and what stands in their place when the group is not to count.

    masked("women and gay men are lazy".split()) == ["<g>", "and", "<g>", "are", "lazy"]

The lists are `data/groups.toml`. A word with other meanings (black, straight, old) counts only with a noun for people
behind it, or at the end of "is black"; somebody's sex is taken out of pronouns and of words such as "actress".
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pe_ray.safety.rules import read

GROUP = "<g>"
COPULA = frozenset({"is", "are", "am", "was", "were", "be", "being", "been"})
CLOSED = frozenset(".,;!?\n")
PLAIN_AXES = ("religion", "orientation", "gender", "disability")
"""Their adjectives name a group wherever they stand, but for the ambiguous; those of other axes need a noun or "is"."""


@dataclass(frozen=True)
class Lists:
    """What `groups.toml` says, ready to be looked up."""

    phrases: dict[str, tuple[tuple[str, ...], ...]]
    """First word -> the phrases that begin with it, the longest first."""
    adjectives: frozenset[str]
    """They name a group if a noun for people follows, or after "is"."""
    plain: frozenset[str]
    """They name a group anywhere."""
    people: frozenset[str]
    alike: dict[str, str]
    """Word -> the one that stands for it and its pair."""
    kin: frozenset[str]
    starts: frozenset[str]
    """First words of a mention."""
    any: frozenset[str]
    """Every word that is a mention, begins one, or has another in its place: all others stay as they are."""


def masked(tokens: Sequence[str], kin: bool = False) -> list[str]:
    """The tokens with `GROUP` for each mention of a group, and words of either sex made alike.

    With `kin` a wife or a father is a group too, which is so in one data set; elsewhere they are persons.
    """
    lists = _lists()
    if lists.any.isdisjoint(tokens):
        return list(tokens)
    found: list[str] = []
    n, end = 0, len(tokens)
    while n < end:
        token = tokens[n]
        if token not in lists.any:
            found.append(token)
            n += 1
            continue
        size = (token in lists.starts and _size(tokens, n, lists)) or (kin and token in lists.kin)
        if size:
            found.append(GROUP)
            n += size
            continue
        found.append(lists.alike.get(token, token))
        n += 1
    return found


def names_group(tokens: Sequence[str]) -> bool:
    """Whether any group is mentioned."""
    lists = _lists()
    if lists.starts.isdisjoint(tokens):
        return False
    return any(_size(tokens, n, lists) for n, token in enumerate(tokens) if token in lists.starts)


def first_words() -> frozenset[str]:
    """The words with which a mention of a group can begin."""
    return _lists().starts


def _size(tokens: Sequence[str], n: int, lists: Lists) -> int:
    """How many tokens from n on are one mention of a group; 0 for none."""
    token = tokens[n]
    for phrase in lists.phrases.get(token, ()):
        if len(phrase) == 1 or (tokens[n + 1 : n + 2] == [phrase[1]] and tuple(tokens[n : n + len(phrase)]) == phrase):
            return len(phrase)
    if token not in lists.adjectives:
        return 0
    size = 1
    while n + size < len(tokens) and tokens[n + size] in lists.adjectives:
        size += 1
    ahead = tokens[n + size] if n + size < len(tokens) else "."
    if ahead in lists.people:
        return size + 1
    if token in lists.plain:
        return size
    return size if ahead in CLOSED and n and tokens[n - 1] in COPULA else 0


@cache
def _lists() -> Lists:
    data = tomllib.loads(read("groups"))
    phrases: dict[str, list[tuple[str, ...]]] = {}
    adjectives, plain = set(), set()
    for name, axis in data["axis"].items():
        for phrase in (*axis["plural"], *axis["one"], *axis.get("abstract", ())):
            words = tuple(phrase.split())
            phrases.setdefault(words[0], []).append(words)
        adjectives.update(axis["adjective"])
        plain.update(w for w in axis["adjective"] if name in PLAIN_AXES and w not in data["ambiguous"])
    for word in data["by_sex"]:
        phrases.setdefault(word, []).append((word,))
    alike = {b: a for a, b in data["pairs"].items()}
    alike |= {word: name for name, words in data["alike"].items() for word in words.split()}
    longest_first = {first: tuple(sorted(set(found), key=len, reverse=True)) for first, found in phrases.items()}
    kin = frozenset(data["kin"])
    starts = frozenset({*longest_first, *adjectives})
    every = frozenset({*starts, *alike, *kin})
    people = frozenset(data["people"])
    return Lists(longest_first, frozenset(adjectives), frozenset(plain), people, alike, kin, starts, every)
