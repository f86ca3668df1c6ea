from __future__ import annotations

import json

import pytest

from pe_ray.corpus.knowledge import techniques
from pe_ray.corpus.knowledge.entry import Entry, Problem

YAML = """\
techniques:
  - name: Lamp hour
    description: Worries wait for the hour when the lamp is lit.
    indications: [dusk worry]
    contraindications: [acute crisis]
    steps:
      - Choose an hour.
      - Light the lamp.
    evidence: two small trials
    example: "Therapist: Let it wait until six."
    synonyms: lamp time
  - name: Dimming
    indication: glare
"""


def read(text: str, uri: str = "t.yaml") -> list[Entry | Problem]:
    return list(techniques.read(text, uri))


def test_a_technique_says_what_for_when_not_and_how() -> None:
    lamp, dimming = read(YAML)
    assert isinstance(lamp, Entry)
    assert isinstance(dimming, Entry)
    assert lamp.answer.split("\n\n") == [
        "Lamp hour: Worries wait for the hour when the lamp is lit.\nAlso called: lamp time.",
        "When it helps:\n- dusk worry",
        "When not to use it:\n- acute crisis",
        "Steps:\n1. Choose an hour.\n2. Light the lamp.",
        "Evidence: two small trials",
        "Example: Therapist: Let it wait until six.",
    ]
    assert (lamp.offset, dimming.offset) == (2, 12)
    assert (lamp.metadata["category"], dimming.metadata["definition"]) == ("technique", "used for glare")
    assert "Lamp hour" in lamp.question


def test_json_gives_the_same() -> None:
    rows = [{"name": "Lamp hour", "description": "d"}, {"name": "Dimming", "steps": ["x"], "description": "e"}]
    for text in (json.dumps({"techniques": rows}, indent=1), json.dumps(rows, indent="\t")):
        found = read(text, "t.json")
        assert [e.metadata["name"] for e in found if isinstance(e, Entry)] == ["Lamp hour", "Dimming"]
        assert isinstance(found[1], Entry)
        assert '"Dimming"' in text.splitlines()[found[1].offset], "the line of the bracket before it"
    (one,) = read(json.dumps(rows[0]), "t.json")
    assert isinstance(one, Entry)


@pytest.mark.parametrize(
    ("item", "field", "says"),
    [
        ({"description": "d"}, "name", "missing"),
        ({"name": "Lamp"}, "description", "missing"),
        ({"name": "Lamp", "steps": ["x"]}, "description", "missing"),
        ({"name": "Lamp", "description": {"a": 1}}, "description", "is an object"),
        ({"name": "Lamp", "description": True}, "description", "true or false"),
        ({"name": "Lamp", "indications": [["x"]]}, "indications", "list of texts"),
        ({"name": "Lamp", "description": "d", "contraindicatons": ["x"]}, "key", "did you mean contraindications?"),
        ({"name": "Lamp", "description": "d", "colour": "x"}, "key", "not known"),
        ({"name": "Lamp", "description": "a \0 b"}, "description", "NUL"),
        ({"name": "Lamp", "description": "a \ud800 b"}, "description", "surrogate"),
        ("Lamp", "technique", "is a text"),
        (None, "technique", "is null"),
    ],
)
def test_an_item_that_cannot_be_read_says_why_and_the_next_is_read(item: object, field: str, says: str) -> None:
    good = {"name": "Dimming", "description": "e"}
    problem, entry = read(json.dumps([item, good]), "t.json")
    assert isinstance(entry, Entry)
    assert isinstance(problem, Problem)
    assert problem.field == field
    assert says in problem.reason


@pytest.mark.parametrize(
    ("text", "uri", "line"),
    [
        ("- name: [a\n- b: }", "t.yaml", 2),
        ("- name: a\n  b\tc: \0", "t.yaml", 0),
        ("a: &x [*x]", "t.yaml", 1),
        ("--- 1\n--- 2", "t.yaml", 2),
        ("[]", "t.yaml", 0),
        ("# nothing", "t.yaml", 0),
        ('{"name": ', "t.json", 1),
        ("[\n1,\n", "t.json", 3),
        ("[" * 100_000, "t.json", 0),
        ("[" * 1_200, "t.yaml", 0),
        ("[]", "t.json", 0),
        ("- a\n- !!python/object/apply:os.getcwd []", "t.yaml", 2),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(text: str, uri: str, line: int) -> None:
    (problem,) = read(text, uri)
    assert isinstance(problem, Problem)
    assert problem.line == line
