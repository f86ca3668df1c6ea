from __future__ import annotations

import random
from pathlib import Path

import pytest

from pe_ray.corpus.knowledge import concepts
from pe_ray.corpus.knowledge.criteria_set import CriteriaSet, Criterion
from pe_ray.corpus.knowledge.entry import About, identifier

CRITERIA = CriteriaSet("Lamp Disorder", "Z99", (Criterion("A", "Dread."),))
LAMP = About("LMP:1", "lamp", "thing", "what is lit", synonyms=("light", "Lamp"), parents=("thing",))
AGAIN = About("LMP:1", "Lamp", "object", "what shines", synonyms=("LIGHT", "shine"), criteria=CRITERIA.to_json())
WICK = About(identifier("term", "Wick"), "wick", "term", "a cord")


def row(about: About, uri: str, offset: int = 1) -> concepts.Row:
    return concepts.Row(about.metadata(), uri, offset, "CC-BY-4.0", "Vale")


ROWS = [row(LAMP, "a.csv"), row(AGAIN, "b.owl", 7), row(WICK, "a.csv", 2)]


def test_a_concept_in_two_files_is_one_with_both_origins() -> None:
    lamp, wick = concepts.collect(ROWS)
    assert (lamp.id, lamp.name, lamp.kind, lamp.definition) == ("LMP:1", "lamp", "thing", "what is lit")
    assert lamp.synonyms == ("light", "shine")
    assert [(o.uri, o.offset, o.definition) for o in lamp.origins] == [
        ("a.csv", 1, "what is lit"),
        ("b.owl", 7, "what shines"),
    ]
    assert lamp.criteria == CRITERIA
    assert (wick.uri, wick.offset, wick.licence, wick.attribution) == ("a.csv", 2, "CC-BY-4.0", "Vale")


def test_rows_of_json_lines_and_passages() -> None:
    told = {"concept_id": "c1", "name": "lamp", "category": "thing", "related": "wick,oil", "definition": "d"}
    (lamp,) = concepts.collect([(told, "a.jsonl", 1, "x", "y"), ({"title": "a passage"}, "m.cnxml", 3, "x", "y")])
    assert lamp.related == ("wick", "oil")


def test_any_order_of_rows_gives_the_same_bytes(tmp_path: Path) -> None:
    first = concepts.write(tmp_path / "a" / "concepts.jsonl", concepts.collect(ROWS)).read_bytes()
    for seed in range(5):
        shuffled = random.Random(seed).sample([*ROWS, *ROWS], 6)
        assert concepts.write(tmp_path / "b.jsonl", concepts.collect(shuffled)).read_bytes() == first


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = concepts.collect(ROWS)
    assert concepts.read(concepts.write(tmp_path / "concepts.jsonl", found)) == found
    assert concepts.read(concepts.write(tmp_path / "none.jsonl", [])) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["concepts.jsonl", "none.jsonl"]


@pytest.mark.parametrize("line", ["", "x", "{}", "[]", '{"id": "a", "synonyms": 3}'])
def test_a_store_that_is_none_says_which_line(tmp_path: Path, line: str) -> None:
    path = concepts.write(tmp_path / "concepts.jsonl", concepts.collect(ROWS))
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 3: is no concept"):
        concepts.read(path)


def test_the_count_says_how_far_the_target_is() -> None:
    found = concepts.count(concepts.collect(ROWS))
    assert found == {
        "concepts": 2,
        "target": concepts.TARGET_CONCEPTS,
        "share": 2 / concepts.TARGET_CONCEPTS,
        "names": 2,
        "several_origins": 1,
        "kinds": {"term": 1, "thing": 1},
    }


def test_ids_follow_from_the_name_alone() -> None:
    assert identifier("term", "Ego  Ideal") == identifier("term", "ego ideal")
    assert identifier("term", "ego") != identifier("technique", "ego")
