import pytest

from pe_ray.safety.bias import assess


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
