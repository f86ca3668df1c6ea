"""The suite of benign messages keeps its promises: enough of each form, and no two messages alike."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import pe_ray

SUITES = Path(pe_ray.__file__).parent / "evaluate" / "suites"
LEAST = {
    "ordinary": 800,
    "idiom": 300,
    "negated": 150,
    "past": 120,
    "third_person": 120,
    "fiction": 150,
    "technical": 120,
    "body_everyday": 120,
    "anger_everyday": 120,
}


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (SUITES / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return read("crisis_benign.jsonl")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))


def trigrams(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + 3]) for i in range(max(1, len(found) - 2))}


def near_pairs(texts: list[str], least: float = 0.5) -> list[tuple[str, str]]:
    """Pairs whose trigrams of words have a Jaccard similarity of `least`; only pairs that share one are compared."""
    grams = [trigrams(text) for text in texts]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    found = []
    for i, mine in enumerate(grams):
        shared = Counter(j for gram in mine for j in holders[gram])
        found += [(texts[j], texts[i]) for j, n in shared.items() if n >= least * len(mine | grams[j])]
        for gram in mine:
            holders[gram].append(i)
    return found


def test_a_message_has_four_fields_an_allowed_form_and_a_few_words(rows: list[dict]) -> None:
    for row in rows:
        assert list(row) == ["id", "form", "topic", "text"], row["id"]
        assert row["form"] in LEAST and re.fullmatch(r"[a-z_]+", row["topic"]), row["id"]
        assert 3 <= len(row["text"].split()) <= 45, row["id"]


def test_there_are_enough_messages_in_all_and_of_each_form(rows: list[dict]) -> None:
    forms = Counter(row["form"] for row in rows)
    assert len(rows) >= 2_000
    assert {form: forms[form] for form, n in LEAST.items() if forms[form] < n} == {}


def test_ids_count_the_lines(rows: list[dict]) -> None:
    assert [row["id"] for row in rows] == [f"neg-{n:04d}" for n in range(1, len(rows) + 1)]


def test_no_message_stands_twice_or_nearly(rows: list[dict]) -> None:
    texts = [row["text"] for row in rows]
    assert [text for text, n in Counter(" ".join(words(text)) for text in texts).items() if n > 1] == []
    assert near_pairs(texts) == []


def test_no_opening_is_a_template(rows: list[dict]) -> None:
    """A hundredth of the suite is the most that one run of four opening words may have."""
    openings = Counter(tuple(words(row["text"])[:4]) for row in rows)
    assert openings.most_common(1)[0][1] <= len(rows) // 100


def test_the_readme_counts_as_the_file_does(rows: list[dict]) -> None:
    section = (SUITES / "README.md").read_text(encoding="utf-8").split("## Benign")[1].split("\n## ")[0]
    told = {form: int(n) for form, n in re.findall(r"^\| `?(\w+)`? \| (\d+) \|", section, flags=re.MULTILINE)}
    assert told == {**Counter(row["form"] for row in rows), "all": len(rows)}


def test_a_near_duplicate_would_be_found() -> None:
    said = "my printer has given up and so have the admin team"
    assert near_pairs([said, said.upper() + " today", "something else about the garden"]) == [
        (said, said.upper() + " today")
    ]
