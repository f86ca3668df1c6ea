"""Which capitalised words are people."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pe_ray.safety.pii import find
from pe_ray.safety.pii.lexicon import data, fold, lexicon


def names(text: str, **options: frozenset[str]) -> list[str]:
    return [text[s.start : s.end] for s in find(text, **options) if s.type == "name"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My name is Thandiwe Mbeki and I live here.", ["Thandiwe Mbeki"]),
        ("My name is Xylo.", ["Xylo"]),
        ("my name is sarah and i am sad", ["sarah"]),
        ("hi my name is will smith", ["will smith"]),
        ("I'm Sarah. I’m Mark.", ["Sarah", "Mark"]),
        ("Dr. O’Brien and Mrs. O'Hara met Mr. D'Angelo", ["O’Brien", "O'Hara", "D'Angelo"]),
        ("Anne-Marie came over with Jean-Paul.", ["Anne-Marie", "Jean-Paul"]),
        ("Mary Jane K. Watson and J. Smith", ["Mary Jane K. Watson", "J. Smith"]),
        ("Maria de la Cruz came.", ["Maria de la Cruz"]),
        ("Sarah called. Then I told Garcia.", ["Sarah", "Garcia"]),
        ("My therapist, Dr. Jane Doe-Smith, says", ["Jane Doe-Smith"]),
        ("My boyfriend Xolani hit me; his sister Xoliswa saw it.", ["Xolani", "Xoliswa"]),
        ("I saw Mark yesterday and Rose cried.", ["Mark", "Rose"]),
        ("Grace Garcia and Mark Davis", ["Grace Garcia", "Mark Davis"]),
        ("My sister Hope and my husband Mark", ["Hope", "Mark"]),
        ("Jordan said no. Hope told me.", ["Jordan", "Hope"]),
        ("Sincerely,\nXylo Brandt", ["Xylo Brandt"]),
        ("Thanks for listening.\n\nSigned, Faith", ["Faith"]),
        ("Sarah: hello\nTherapist: hi", ["Sarah"]),
        ("ANNA SMITH called", ["ANNA SMITH"]),
        ("Dear Hope, thank you", ["Hope"]),
        ("Thank you, Sarah. Please sit.", ["Sarah"]),
        ("McKenzie and MacDonald left", ["McKenzie", "MacDonald"]),
        ("Sarah Monday told Anna Christmas", ["Sarah", "Anna"]),
        ("Sarah's mother and James’ dog", ["Sarah", "James"]),
        ("Will Garcia come?", ["Garcia"]),
        ("I told Sarah the test was over; Sarah's School; Sarah's model", ["Sarah", "Sarah", "Sarah"]),
        ("Sarah 3:30 pm, Garcia's house", ["Sarah", "Garcia"]),
        ("Lisa Rogers and Mr. Ellis", ["Lisa Rogers", "Ellis"]),
        ("José and Zoë met Renée", ["Zoë"] if "zoë" in lexicon().given else []),
    ],
)
def test_people_are_found(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Will you come in May? May I hope? Mark my words.",
        "Hope is the thing. Grace comes. Faith, Joy and Summer. The Power Of Hope And Faith.",
        "I'm Christian, I'm English, I'm Young at heart.",
        "In April we went to Paris, Jordan, Georgia and Virginia Beach.",
        "according to Freud, Beck and Rogers",
        "Carl Rogers, Aaron T. Beck, Marsha Linehan, Jean Piaget, Albert Bandura, Sigmund Freud, Irvin Yalom",
        "Dr. Linehan and Dr. Freud wrote",
        "Beck Depression Inventory, Young Mania Rating Scale, Hamilton Rating Scale, Maslow's hierarchy",
        "Parkinson's disease, Tourette syndrome, Wilson's disease, Down syndrome",
        "St. John's wort, Saint Mary, John 3:16, Matthew 6:34, Jesus Christ",
        "Zoloft, Prozac, Lamictal, Abilify, Xanax",
        "God bless. Thank God. Oh Lord. Happy Christmas. On Monday, Facebook was down.",
        "My therapist CBT-trained me; my mom Facebook messaged; my boss Monday",
        "Don't. Good. Best of luck. Long ago. Don’t Stop. Yours. Similarly, his.",
        "I am Not Sure. This is Great. Call it Love.",
        "what is my name? the name is not important; name it to tame it",
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert names(text) == []


def test_what_a_record_knows_counts_everywhere_in_it() -> None:
    assert names("Then Xolani left.") == []
    assert names("Then Xolani left. Will Will come?", known=frozenset({"xolani", "will"})) == ["Xolani", "Will"]


def test_personas_are_nobody() -> None:
    assert names("Maya Lopez told Karen.", exempt=frozenset({"maya", "lopez"})) == ["Karen"]


def test_the_word_lists_do_not_contradict_the_surrogates() -> None:
    lists, lex = data("names"), lexicon()
    given = {*lists["surrogate_female"], *lists["surrogate_male"]}
    for name in given:
        assert fold(name) in lex.given
        assert lex.is_plain(fold(name))
        assert fold(name) not in lex.theorists
    for name in lists["surrogate_family"]:
        assert fold(name) in lex.family - lex.given - lex.theorists
        assert lex.is_plain(fold(name))


def test_faker_is_not_loaded_before_a_text_asks() -> None:
    script = (
        "import sys, pe_ray.safety.pii as pii\n"
        "assert 'faker' not in sys.modules and 'phonenumbers' not in sys.modules\n"
        "pii.find('Sarah is here')\n"
        "assert 'faker' in sys.modules and 'phonenumbers' not in sys.modules and 'spacy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
