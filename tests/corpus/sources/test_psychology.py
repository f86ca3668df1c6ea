from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.knowledge import concepts
from pe_ray.corpus.reading import ReadPlan, Unreadable, resolve
from pe_ray.corpus.sources import psychology as source
from pe_ray.errors import SourceError
from pe_ray.record import Record
from tests.corpus.write import concept, jsonl, scenes

SCENE = next(scenes(1))


def one(tmp_path: Path, row: dict) -> Record | Unreadable:
    (found,) = source.read(SourceSpec(kind="psychology", path=str(jsonl(tmp_path / "a.jsonl", [row]))))
    return found


def test_a_concept_becomes_a_record(tmp_path: Path) -> None:
    row = concept(SCENE, related=["Grounding ", "shame, guilt", "grounding"])
    record = one(tmp_path, row)
    assert isinstance(record, Record)
    assert (record.domain, record.content_type) == ("psychology", "knowledge")
    assert record.messages[1].text == "\n\n".join([row["definition"], row["clinical_use"], row["example"]])
    assert record.metadata["related"] == "grounding,shame,guilt"
    assert record.metadata["question"] == "contextual"


@pytest.mark.parametrize(
    "name", ["concept_id", "name", "category", "question", "definition", "clinical_use", "example"]
)
def test_every_key_is_needed(tmp_path: Path, name: str) -> None:
    row = concept(SCENE)
    del row[name]
    found = one(tmp_path, row)
    assert isinstance(found, Unreadable)
    assert found.field == name


GLOSSARY = "- **Wick**: a cord\n- **Flame**: what burns\n"
TALK = "title: On lamps\nspeaker: Vale\n\n" + "Lamps are lit when it is dark. " * 10
CRITERIA = "Lamp Disorder\nZ99\n\nA. Dread of lamps.\n"
TECHNIQUE = "- name: Lamp hour\n  description: Worries wait for the lamp.\n"
TABLE = "term,meaning\nshade,what dims a lamp\n"
OWL = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
 xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:obo="http://purl.obolibrary.org/obo/"
 xmlns:dc="http://purl.org/dc/elements/1.1/">
<owl:Ontology><dc:license>CC0-1.0</dc:license></owl:Ontology>
<owl:Class rdf:about="http://x/LMP_1"><rdfs:label>lamp</rdfs:label><obo:IAO_0000115>A light.</obo:IAO_0000115>
</owl:Class></rdf:RDF>"""
CNXML = """<document xmlns="http://cnx.rice.edu/cnxml"><title>Lamps</title><content><para>A wick burns.</para></content>
<glossary><definition><term>wick</term><meaning>a cord</meaning></definition></glossary></document>"""
LIBRARY = {
    "a/index.cnxml": CNXML,
    "b.owl": OWL,
    "c.csv": TABLE,
    "d.md": GLOSSARY,
    "e.txt": TALK,
    "f.criteria.txt": CRITERIA,
    "g.yaml": TECHNIQUE,
    "h.json": '[{"name": "Dimming", "description": "less light"}]',
    "talk.md": TALK,
    "README.md": "- **Where**: from nowhere\n",
    "LICENSE.txt": "Words of a licence, and more of them. " * 9,
}


def library(folder: Path) -> SourceSpec:
    for name, words in LIBRARY.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words, encoding="utf-8")
    jsonl(folder / "i.jsonl", [concept(SCENE)])
    return SourceSpec(kind="psychology", path=str(folder))


def test_a_folder_is_read_file_by_file_by_what_each_is(tmp_path: Path) -> None:
    found = list(source.read(library(tmp_path)))
    records = [r for r in found if isinstance(r, Record)]
    assert len(records) == len(found)
    by_file = Counter(r.uri for r in records)
    assert by_file == {
        **dict.fromkeys(("b.owl", "c.csv", "e.txt", "f.criteria.txt", "g.yaml", "h.json", "i.jsonl", "talk.md"), 1),
        "a/index.cnxml": 2,
        "d.md": 2,
    }
    assert {r.domain for r in records} == {"psychology"}
    assert {r.uri: r.content_type for r in records if r.content_type != "knowledge"} == {
        "e.txt": "speech",
        "talk.md": "speech",
    }
    for record in records:
        if "concept_id" in record.metadata:
            assert record.metadata["name"]
            assert record.metadata["category"]


def test_the_concepts_of_a_folder_follow_from_its_records(tmp_path: Path) -> None:
    records = [r for r in source.read(library(tmp_path)) if isinstance(r, Record)]
    found = {c.name.casefold(): c for c in concepts.concepts(records)}
    assert set(found) == {"wick", "flame", "lamp", "shade", "lamp disorder", "lamp hour", "dimming", SCENE[0]}
    assert [o.uri for o in found["wick"].origins] == ["a/index.cnxml", "d.md"]
    assert found["lamp disorder"].criteria is not None
    assert found["lamp"].licence == "CC0-1.0"
    assert found["wick"].licence == "unstated"


def test_what_the_run_file_says_of_the_licence_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "b.owl").write_text(OWL, encoding="utf-8")
    (record,) = source.read(SourceSpec(kind="psychology", path=str(tmp_path), licence="MIT", attribution="Vale"))
    assert isinstance(record, Record)
    assert (record.licence, record.attribution) == ("MIT", "Vale")


def test_a_part_of_the_plan_gives_the_same_records(tmp_path: Path) -> None:
    spec = library(tmp_path)
    whole = list(source.read(spec))
    parts = [found for file in source.plan(spec).files for found in source.read(spec, ReadPlan((file,)))]
    assert parts == whole


def test_texts_about_the_files_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(GLOSSARY, encoding="utf-8")
    with pytest.raises(SourceError, match="only texts about its files"):
        source.plan(SourceSpec(kind="psychology", path=str(tmp_path)))
    named = SourceSpec(kind="psychology", path=str(tmp_path / "README.md"))
    assert len(list(source.read(named))) == 2, "a file that is named is read"


@pytest.mark.parametrize(
    ("name", "data", "line", "says"),
    [
        *(
            (name, b"", 0, "empty")
            for name in ("a.cnxml", "a.owl", "a.csv", "a.md", "a.txt", "a.yaml", "a.criteria.txt")
        ),
        ("a.txt", "lamp".encode("utf-16"), 0, "UTF-16"),
        ("a.md", b"- **Wick**: a cord\n- **Flame**: caf\xe9\n", 2, "not UTF-8"),
        ("a.criteria.txt", b"Lamp\0", 0, "binary"),
        ("a.txt", b"lamp " * 3000 + b"\nla\0mp", 2, "NUL"),
        ("a.cnxml", CNXML.encode()[:-30], 2, "cut short"),
        ("a.pdf", b"%PDF", 0, "no kind"),
        ("a.md", b"Prose alone, without a term.", 0, "none in the file"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(
    tmp_path: Path, name: str, data: bytes, line: int, says: str
) -> None:
    (tmp_path / name).write_bytes(data)
    *before, last = source.read(SourceSpec(kind="psychology", path=str(tmp_path / name)))
    assert all(isinstance(r, Record) for r in before)
    assert isinstance(last, Unreadable)
    assert (last.uri, last.offset) == (name, line)
    assert says in last.reason


def test_a_file_that_vanishes_is_unreadable(tmp_path: Path) -> None:
    spec = library(tmp_path)
    plan = source.plan(spec)
    (tmp_path / "b.owl").unlink()
    (tmp_path / "e.txt").unlink()
    gone = [found for found in source.read(spec, plan) if isinstance(found, Unreadable)]
    assert [(u.uri, u.offset) for u in gone] == [("b.owl", 0), ("e.txt", 0)]


def test_the_public_library() -> None:
    spec = SourceSpec(kind="psychology", path="${PE_RAY_DATA}/psychology")
    if not resolve(spec).exists():
        pytest.skip("no public data; PE_RAY_DATA names its folder")
    found = list(source.read(spec))
    records = [r for r in found if isinstance(r, Record)]
    unreadable = [u for u in found if isinstance(u, Unreadable)]
    assert len(unreadable) < 0.01 * len(found)
    assert all(u.reason for u in unreadable)
    assert len({r.id for r in records}) == len(records)
    assert all(r.messages[0].text.strip() and r.messages[1].text.strip() for r in records)
    assert max(len(r.messages[1].text.split()) for r in records) <= 500
    assert len(concepts.concepts(records)) > 2000
