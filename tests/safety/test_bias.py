import re

import pytest

from pe_ray.safety.bias import assess
from pe_ray.safety.normalise import normalise
from pe_ray.safety.rules import load


@pytest.mark.parametrize(
    "text",
    [
        "Women are too emotional to lead a team.",
        "Those immigrants are just lazy.",
        "People with schizophrenia are dangerous.",
        "Old people can't learn new things.",
        "Man up, you'll be fine.",
        "He's gay, so he will be dramatic about it.",
        "Muslims should go back to where they came from.",
        "You people always complain.",
    ],
)
def test_unfair_generalisation_scores_low(text):
    finding = assess(text)
    assert finding.score < 0.5
    assert all("@" in r for r in finding.rules)
    start, end = finding.spans[0]
    assert text[start:end].strip()


@pytest.mark.parametrize(
    "text",
    [
        "Many women in leadership say that they are judged more harshly.",
        "Would your current time still work during Ramadan?",
        "Older adults benefit from therapy about as well as younger ones.",
        "People with schizophrenia are more often victims of violence than others.",
        "He told us that he is gay and that his family is supportive.",
        "I would like to know what she wants before we decide.",
        "The men in the group are tired after work.",
    ],
)
def test_respectful_sentences_pass(text):
    assert assess(text).score >= 0.5, assess(text).rules


def test_naming_a_stereotype_to_question_it_counts_half():
    plain, named = "Women are emotional.", "The idea that women are emotional is a stereotype."
    assert assess(plain).score < 0.5 < assess(named).score < 1


def test_the_gate_changes_no_finding():
    rules = load("bias")
    texts = [
        "Nice weather. But jews are inferior!!1!1! thats s c i e n c e",
        "The idea that women are emotional is a stereotype. Women are emotional.\nMen, too, are lazy",
        "Those people are always late; typical women. She is fat, so of course she is slow.",
        "There is nothing here but a garden, two mothers, old men, and people who are kind.",
    ]
    for text in texts:
        sentences = re.findall(r"[^.?!\n]+", normalise(text).text)
        hits = [r.name for s in sentences for r in rules.rules if _needed(r, s) for _ in r.regex.finditer(s)]
        found = assess(text)
        assert found.rules == tuple(dict.fromkeys(hits))
        assert len(found.spans) == len(hits)
    assert assess(texts[-1]).score == 1


def _needed(rule, sentence):
    return any(n in f" {sentence} " for n in rule.needs)
