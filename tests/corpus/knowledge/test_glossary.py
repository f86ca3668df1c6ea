from __future__ import annotations

import json
import time

import pytest

from pe_ray.corpus.knowledge import glossary
from pe_ray.corpus.knowledge.entry import Entry, Problem

LISTED = """\
# Words about lamps

Some words that introduce nothing: they are prose.

- **Wick**: a *cord* that carries [oil](https://example.org)
  up to the flame. See also: flame, oil
- __Flame__ - what burns
- glass: what is clear
* Lamp – a thing that is lit

Shade
: what dims a lamp

### Dusk
The hour of lamps.
"""
TABLE = """\
| Term | Definition |
|------|:----------:|
| wick | a cord |
| flame | what burns |
"""


def pairs(text: str) -> list[tuple[str, str]]:
    found = [e for e in glossary.read(text, "lamps.md") if isinstance(e, Entry)]
    return [(e.metadata["name"], e.metadata["definition"]) for e in found]


def test_every_kind_of_list() -> None:
    assert pairs(LISTED) == [
        ("Wick", "a cord that carries oil\nup to the flame."),
        ("Flame", "what burns"),
        ("glass", "what is clear"),
        ("Lamp", "a thing that is lit"),
        ("Shade", "what dims a lamp"),
        ("Dusk", "The hour of lamps."),
    ]


def test_see_also_is_what_it_is_related_to() -> None:
    (wick, *_) = glossary.read(LISTED, "lamps.md")
    assert isinstance(wick, Entry)
    assert json.loads(wick.metadata["related"]) == ["flame", "oil"]
    assert wick.offset == 5


def test_tables_and_lists_without_bullets() -> None:
    assert pairs(TABLE) == [("wick", "a cord"), ("flame", "what burns")]
    assert pairs("Wick: a cord\nFlame: what burns\n") == [("Wick", "a cord"), ("Flame", "what burns")]


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("- **Wick**:\n", 1, "definition"),
        ("- **Flame**: burns\n- Wick:\n", 2, "definition"),
        ("| a | b |\n|--|--|\n| | a cord |\n", 3, "term"),
        ("- **Wick**: a \0 cord\n", 1, "definition"),
        ("Only prose stands here, and no more.\n", 0, "terms"),
    ],
)
def test_what_has_no_meaning_says_where(text: str, line: int, field: str) -> None:
    problems = [p for p in glossary.read(text, "lamps.md") if isinstance(p, Problem)]
    assert [(p.line, p.field) for p in problems] == [(line, field)]
    assert "cord" not in problems[0].reason


@pytest.mark.parametrize("line", ["- " + " " * 200_000, "**" + " " * 200_000, "| " * 100_000, "# " + "# " * 100_000])
def test_a_huge_line_is_read_in_no_time(line: str) -> None:
    start = time.perf_counter()
    list(glossary.read(line, "lamps.md"))
    assert time.perf_counter() - start < 5
