"""What clients say of their feelings and their ways: counts with the places where they say it, never a diagnosis.

`apply` appends the column `markers`, JSON or null:

    {"words": 61,
     "emotions": {"fear": {"count": 2, "negated": 1, "others": 0, "spans": [[0, 12, 18], [2, 40, 47]]}},
     "traits": {"openness.curiosity": {...}},
     "path": [[0, "fear", 1], [2, "relief", 1]]}

A span is [message, start, end] in the characters of that message. `count` is what clients say of themselves: "not
afraid" is `negated` and "she was furious" is `others`; neither is counted or kept as a span. `path` is the commonest
emotion of each client message that names one, in order: how the talk moves. The words are in `emotions.toml` and
`traits.toml`, for a clinician to read and change.

Only the client's own words are read, so only records in which a client speaks: no host of a podcast, no question that
was written for a passage, no biased statement.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import pyarrow as pa

from pe_ray.corpus.quality.phrases import alternation, plain

CONTENT_TYPES = frozenset({"transcript", "dual_persona", "edge_case", "qa"})
"""Where the user is somebody who seeks help."""
SCRIPTED_DOMAIN = "bias_detection"
MAX_SPANS = 20
"""Places kept for a group in one record; counts go on."""
LOOK_BACK = 48
"""Characters ahead of a word in which its negation, and the person it is said of, may stand."""
EMOTIONS = "emotions"
TRAITS = "traits"

DEGREE = (
    r"(?:really|very|that|too|at|all|been|be|being|feel|feeling|felt|get|getting|got|seem|look|even|much|any|a|an|the|as"
    r"|particularly|exactly|quite|more|ever|longer|to|am|is|was|were|are|have|had|actually|anything|like)"
)
NEGATED = re.compile(
    r"(?:\b(?:not|no|without|hardly|barely|neither|nor|cannot|(?:do|did|does|is|was|were|are|have|had)nt)|n't)"
    rf"(?:\s+(?:{DEGREE}|so))*\s+$|\b(?:never|nothing)(?:\s+{DEGREE})*\s+$"
)
"""A negation with nothing but verbs and degrees up to the word: "don't know why I'm sad" and "never so sad" are sad."""
NEGATIONS = ("no", "n't", "nt ", "never", "neither", "without", "hardly", "barely")
"""A look that costs little, before the pattern that costs more."""
OF_OTHERS = re.compile(
    r"\b(?:he|she|they|you|every(?:one|body)|some(?:one|body)|(?:my|his|her|their|the)\s+[a-z]+)"
    r"(?:'(?:s|re|d)|\s+(?:is|was|are|were|gets?|got|felt|feels?|looks?|looked|seem(?:s|ed)|became|sound(?:s|ed)))"
    rf"(?:\s+(?:{DEGREE}|so))*\s+$"
)
"""Somebody else is, was, got or felt so."""


@dataclass(frozen=True)
class Entry:
    """A phrase of a lexicon: its table, its group, and how many characters of the match are its own."""

    table: str
    group: str
    length: int


def apply(table: pa.Table) -> pa.Table:
    """Append `markers`."""
    messages = table["messages"].combine_chunks()
    offsets = messages.offsets.to_pylist()
    flat = messages.values
    roles, texts = flat.field("role").to_pylist(), flat.field("text").to_pylist()
    wanted = zip(table["content_type"].to_pylist(), table["domain"].to_pylist(), strict=True)
    write = json.JSONEncoder(separators=(",", ":")).encode
    found: list[str | None] = []
    for row, (content_type, domain) in enumerate(wanted):
        place = range(offsets[row], offsets[row + 1])
        if content_type not in CONTENT_TYPES or domain == SCRIPTED_DOMAIN:
            found.append(None)
            continue
        own = [(n, texts[i]) for n, i in enumerate(place) if roles[i] == "user"]
        answered = any(roles[i] == "assistant" for i in place)
        markers = of_client(own) if answered else None
        found.append(write(markers) if markers else None)
    return table.append_column("markers", pa.array(found, pa.string()))


def of_client(own: Iterable[tuple[int, str]]) -> dict[str, Any] | None:
    """The markers of a client's messages, given with their place in the record; None if there are none."""
    tables: dict[str, dict[str, Any]] = {EMOTIONS: {}, TRAITS: {}}
    path: list[tuple[int, str, int]] = []
    num_words = 0
    for message, text in own:
        low = plain(text)
        num_words += len(low.split())
        felt: Counter[str] = Counter()
        for match in _pattern().finditer(low):
            start = match.start()
            kind = _kind(low, start)
            for entry in _entries(match.group()):
                seen = tables[entry.table].setdefault(entry.group, {"count": 0, "negated": 0, "others": 0, "spans": []})
                seen[kind] += 1
                if kind == "count":
                    _note(seen["spans"], [message, start, start + entry.length])
                    felt[entry.group] += entry.table == EMOTIONS
        if any(felt.values()):
            path.append((message, *felt.most_common(1)[0]))
    if not any(tables.values()):
        return None
    return {"words": num_words, **tables, "path": path}


def _note(spans: list[list[int]], span: list[int]) -> None:
    if len(spans) < MAX_SPANS:
        spans.append(span)


def _kind(text: str, start: int) -> str:
    """Which count a hit belongs to."""
    begin = max(0, start - LOOK_BACK)
    ahead = text[begin:start]
    if any(part in ahead for part in NEGATIONS) and NEGATED.search(text, begin, start):
        return "negated"
    return "others" if OF_OTHERS.search(text, begin, start) else "count"


@lru_cache(maxsize=1 << 16)
def _entries(matched: str) -> tuple[Entry, ...]:
    """What a match stands for: in each table, the longest phrase with which it begins. Worked out once a match."""
    best: dict[str, Entry] = {}
    for end in (m.end() for m in reversed(list(re.finditer(r"\S+", matched)))):
        head = " ".join(matched[:end].split())
        for table, group, phrase in _phrases():
            if table not in best and _is(head, phrase):
                best[table] = Entry(table, group, end)
    return tuple(best.values())


def _is(said: str, phrase: str) -> bool:
    """Are these the words of a phrase, whose star stands for letters?"""
    if not phrase.endswith("*"):
        return said == phrase
    return said.startswith(phrase[:-1]) and " " not in said[len(phrase) - 1 :]


@cache
def _pattern() -> re.Pattern[str]:
    return alternation(phrase for _, _, phrase in _phrases())


@cache
def _phrases() -> tuple[tuple[str, str, str], ...]:
    """Every phrase of both lexicons with its table and group."""
    emotions = [(EMOTIONS, group, listed) for group, listed in _load("emotions.toml").items()]
    traits = [
        (TRAITS, f"{family}.{group}", listed)
        for family, groups in _load("traits.toml").items()
        for group, listed in groups.items()
    ]
    return tuple(
        (table, group, " ".join(phrase.split()))
        for table, group, listed in (*emotions, *traits)
        for phrase in listed.split(",")
    )


def _load(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("pe_ray.corpus.quality") / name).read_text(encoding="utf-8"))
