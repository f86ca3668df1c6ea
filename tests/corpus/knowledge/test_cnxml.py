"""A module of a textbook about lanterns, in the form of the open textbooks."""

from __future__ import annotations

import io

import pytest

from pe_ray.corpus.knowledge import cnxml
from pe_ray.corpus.knowledge.entry import Entry, Problem, identifier

HEAD = """<document xmlns="http://cnx.rice.edu/cnxml" xmlns:m="http://www.w3.org/1998/Math/MathML">
<title>Lantern Attention</title>
<metadata xmlns:md="http://cnx.rice.edu/mdml"><md:license url="https://example.org/by/4.0/"/>
<md:abstract><para>You will learn much.</para></md:abstract></metadata>
<content>
"""
FIRST = """<para id="p0">Lanterns draw the eye.</para>
<section id="s1"><title>How Lanterns Work</title>
<para id="p1">A <term id="t1">wick</term> carries oil<footnote id="f">not this</footnote>, as shown in
 <link target-id="F1"/>. Some lanterns (<link target-id="F1"/>) have two <term>wicks (WK)</term>.
 See <link url="https://example.org">a shop</link>.</para>
<figure id="F1"><media alt="a lamp"><image src="x.jpg"/></media><caption>Not this either.</caption></figure>
<para id="p2">There are two kinds:</para>
<list list-type="enumerated"><item>oil</item><item>gas</item></list>
<equation><m:math><m:mtext>oil</m:mtext><m:mo>+</m:mo><m:mtext>air</m:mtext></m:math></equation>
<table><tgroup><thead><row><entry>Kind</entry><entry>Light</entry></row></thead>
<tbody><row><entry>oil</entry><entry>yellow</entry></row></tbody></tgroup></table>
<note class="box"><title>A Lantern Story</title><para>Once a lantern went out.</para></note>
<note class="link"><para>Watch a film.</para></note>
</section>
"""
REST = """<section id="s2" class="summary"><title>Summary</title><para>Wicks carry oil.</para></section>
<section id="s3" class="review-questions"><title>Review Questions</title>
<exercise><problem><para>Oil is carried by the ________.</para>
<list><item>wick</item><item>glass</item></list></problem><solution><para>A</para></solution></exercise>
<exercise><problem><para>Which is glass?</para><list><item>wick</item></list></problem>
<solution><para>D</para></solution></exercise>
<exercise><problem><para>Why two wicks?</para></problem>
<solution><para>Answers will vary. More light.</para></solution></exercise>
<exercise><problem><para>Have you a lantern?</para></problem></exercise></section>
<section class="references"><title>References</title><para>Vale (1999).</para></section>
</content>
"""
GLOSSARY = """<glossary>
<definition><term>wick</term><meaning>cord that
 carries oil</meaning></definition>
<definition><term>glass</term><meaning> </meaning></definition>
<definition><term>Flame </term><meaning>what burns</meaning></definition>
</glossary>
</document>
"""
WHOLE = HEAD + FIRST + REST + GLOSSARY


def read(text: str | bytes) -> list[Entry | Problem]:
    data = text.encode() if isinstance(text, str) else text
    return list(cnxml.read(io.BytesIO(data), "m1/index.cnxml"))


def entries(text: str = WHOLE, **wanted: str) -> list[Entry]:
    found = [e for e in read(text) if isinstance(e, Entry)]
    return [e for e in found if all(e.metadata.get(key) == value for key, value in wanted.items())]


def test_a_glossary_term_is_a_concept_with_the_sentences_that_introduce_it() -> None:
    wick, flame = entries(category="term")
    assert wick.metadata["concept_id"] == identifier("term", "WICK")
    assert wick.metadata["definition"] == "cord that carries oil"
    assert wick.answer.startswith("Wick: cord that carries oil\n\nA wick carries oil, as shown in the figure.")
    assert "wick" in wick.question
    assert flame.answer == "Flame: what burns", "no paragraph names it, so none is made up"
    assert wick.licence == "https://example.org/by/4.0/"


def test_a_definition_without_a_meaning_is_said_with_its_line() -> None:
    (problem,) = [p for p in read(WHOLE) if isinstance(p, Problem)]
    assert (problem.field, problem.line) == ("meaning", WHOLE[: WHOLE.index("<term>glass")].count("\n") + 1)


def test_a_section_keeps_lists_tables_and_formulas_and_drops_what_nobody_reads() -> None:
    (passage,) = entries(section="How Lanterns Work")
    assert passage.answer == (
        "A wick carries oil, as shown in the figure. Some lanterns have two wicks (WK). See a shop.\n\n"
        "There are two kinds:\n1. oil\n2. gas\noil+air\n- Kind: oil; Light: yellow"
    )
    assert passage.metadata["terms"] == "wick, wicks (WK)"
    assert "How Lanterns Work" in passage.question
    assert passage.metadata["question"] == "contextual"


def test_boxes_and_summaries_are_passages_of_their_own() -> None:
    assert [e.metadata["section"] for e in entries() if "section" in e.metadata] == [
        "Lantern Attention",
        "How Lanterns Work",
        "A Lantern Story",
        "Summary",
    ]
    (summary,) = entries(category="summary")
    assert "Lantern Attention" in summary.question


def test_questions_of_the_book_come_with_their_solution() -> None:
    review, thinking = entries(question="extracted")
    assert review.question == "Oil is carried by the ________.\na. wick\nb. glass"
    assert review.answer == "a. wick\n\nOil is carried by the wick."
    assert (thinking.question, thinking.answer) == ("Why two wicks?", "More light.")


def test_everything_of_a_module_is_kept_in_one_split() -> None:
    assert {e.metadata["recording"] for e in entries()} == {"m1/index.cnxml"}


def test_reading_again_asks_the_same() -> None:
    assert [e.question for e in entries()] == [e.question for e in entries()]


def test_a_module_that_is_cut_gives_what_stands_before_the_cut() -> None:
    cut = HEAD + FIRST + "<section id='s9'><title>Further</title><para>whole one</para><para>half of a par"
    *found, problem = read(cut)
    assert [e.answer for e in found if isinstance(e, Entry)][-1] == "whole one"
    assert isinstance(problem, Problem)
    assert problem.line == cut.count("\n") + 1


def test_a_title_that_names_nothing_asks_about_the_first_sentence() -> None:
    text = (
        HEAD.replace("Lantern Attention", "Introduction")
        + "<para>Lamps were lit. Then not.</para></content></document>"
    )
    (entry,) = entries(text)
    assert "“Lamps were lit.”" in entry.question


def test_long_sections_are_asked_about_part_by_part() -> None:
    paragraphs = "".join(f"<para>Lamp {i} {'is lit ' * 100}.</para>" for i in range(6))
    found = entries(f"{HEAD}<section><title>Lamps</title>{paragraphs}</section></content></document>")
    assert len(found) == 6
    assert len({e.question for e in found}) == len(found)
    assert all(len(e.answer.split()) <= 400 for e in found)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("<html><p>words</p></html>", "document"),
        (HEAD + "</content></document>", "document"),
        (HEAD.replace("Lantern Attention", "Preface") + FIRST + "</content></document>", "title"),
        ("", "xml"),
        (b"\0\0", "xml"),
    ],
)
def test_a_file_without_knowledge_says_why(text: str | bytes, field: str) -> None:
    (problem,) = read(text)
    assert isinstance(problem, Problem)
    assert problem.field == field
