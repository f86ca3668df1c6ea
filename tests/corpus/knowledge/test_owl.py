from __future__ import annotations

import io
import json

import pytest

from pe_ray.corpus.knowledge import owl
from pe_ray.corpus.knowledge.entry import Entry, Problem

HEAD = """<?xml version="1.0"?>
<rdf:RDF xmlns:owl="http://www.w3.org/2002/07/owl#" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:obo="http://purl.obolibrary.org/obo/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:oio="http://www.geneontology.org/formats/oboInOwl#">
<owl:Ontology rdf:about="http://example.org/lamps.owl"><dc:title>Lamp Ontology</dc:title>
<dc:license>https://example.org/by</dc:license></owl:Ontology>
"""
LAMP = """<owl:Class rdf:about="http://example.org/obo/LMP_0000001"><rdfs:label xml:lang="en">lamp</rdfs:label>
<obo:IAO_0000115>A thing that is &lt;lit&gt;.</obo:IAO_0000115></owl:Class>
"""
LANTERN = """<owl:Class rdf:about="http://example.org/obo/LMP_0000002">
<rdfs:subClassOf rdf:resource="http://example.org/obo/LMP_0000001"/>
<rdfs:subClassOf><owl:Restriction/></rdfs:subClassOf>
<rdfs:label xml:lang="de">Laterne</rdfs:label><rdfs:label>lantern</rdfs:label>
<obo:IAO_0000115>A lamp that is carried.</obo:IAO_0000115>
<oio:hasExactSynonym>hand lamp</oio:hasExactSynonym><oio:hasExactSynonym>Lantern</oio:hasExactSynonym>
<obo:IAO_0000112>the miner's lantern</obo:IAO_0000112></owl:Class>
"""
OLD = """<owl:Class rdf:about="http://example.org/obo/LMP_0000003"><rdfs:label>torch</rdfs:label>
<obo:IAO_0000115>Gone.</obo:IAO_0000115><owl:deprecated>true</owl:deprecated></owl:Class>
"""
BARE = '<owl:Class rdf:about="http://example.org/obo/OTHER_0000009"/>\n'
UNTOLD = '<owl:Class rdf:about="http://example.org/obo/LMP_0000004"><rdfs:label>candle</rdfs:label></owl:Class>\n'
UPPER = """<owl:Class rdf:about="http://example.org/obo/BFO_0000001"><rdfs:label>entity</rdfs:label>
<obo:IAO_0000115>All.</obo:IAO_0000115></owl:Class>
"""


def read(*parts: str, end: str = "</rdf:RDF>") -> list[Entry | Problem]:
    return list(owl.read(io.BytesIO((HEAD + "".join(parts) + end).encode()), "lamps.owl"))


def test_a_class_becomes_a_concept() -> None:
    lamp, lantern = read(LAMP, LANTERN)
    assert isinstance(lantern, Entry)
    assert isinstance(lamp, Entry)
    assert lantern.metadata["concept_id"] == "LMP:0000002"
    assert lantern.metadata["name"] == "lantern"
    assert json.loads(lantern.metadata["parents"]) == ["lamp"]
    assert json.loads(lantern.metadata["synonyms"]) == ["hand lamp"]
    assert lantern.metadata["category"] == "lamp", "the highest class above it"
    assert "For example: the miner's lantern" in lantern.answer
    assert lamp.answer == "Lamp: A thing that is lit."
    assert lamp.licence == "https://example.org/by"
    assert lantern.offset == HEAD.count("\n") + LAMP.count("\n") + 1


def test_what_is_left_out_is_counted_by_reason_with_its_lines() -> None:
    lamp, problem = read(LAMP, OLD, BARE, UNTOLD, UPPER)
    assert isinstance(lamp, Entry)
    assert isinstance(problem, Problem)
    line = HEAD.count("\n") + LAMP.count("\n") + 1
    assert problem.field == "classes"
    told = f"of 5 some are left out: 1 are marked deprecated (line {line}); 1 are of an upper ontology"
    assert problem.reason.startswith(told)
    assert problem.reason.count("(line ") == 4


def test_a_class_in_two_places_is_one_concept() -> None:
    again = LAMP.replace("<rdfs:label", "<oio:hasExactSynonym>light</oio:hasExactSynonym><rdfs:label")
    (lamp,) = read(LAMP, again)
    assert isinstance(lamp, Entry)
    assert json.loads(lamp.metadata["synonyms"]) == ["light"]


def test_classes_that_are_below_each_other_do_not_hang() -> None:
    loop = LAMP.replace("</owl:Class>", '<rdfs:subClassOf rdf:resource="http://x/LMP_0000002"/></owl:Class>')
    assert len(read(loop, LANTERN)) == 2


def test_a_file_that_is_cut_gives_the_classes_before() -> None:
    lamp, problem = read(LAMP, LANTERN[:300], end="")
    assert isinstance(lamp, Entry)
    assert isinstance(problem, Problem)
    assert problem.line > HEAD.count("\n") + LAMP.count("\n")


@pytest.mark.parametrize(
    ("text", "field"),
    [("<html><p/></html>", "rdf:RDF"), ("", "xml"), (HEAD + "</rdf:RDF>", "owl:Class"), ("a\0b", "xml")],
)
def test_a_file_that_is_no_ontology(text: str, field: str) -> None:
    (problem,) = owl.read(io.BytesIO(text.encode()), "x.owl")
    assert isinstance(problem, Problem)
    assert problem.field == field


@pytest.mark.parametrize(
    ("iri", "wanted"),
    [
        ("http://purl.obolibrary.org/obo/MF_0000004", "MF:0000004"),
        ("http://example.org/terms#Grief", "Grief"),
        ("http://example.org/terms/grief/", "grief"),
        ("BCIO:050449", "BCIO:050449"),
    ],
)
def test_ids_are_the_same_as_in_tables(iri: str, wanted: str) -> None:
    assert owl.short_id(iri) == wanted
