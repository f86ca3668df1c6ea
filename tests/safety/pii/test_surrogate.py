"""Stand-ins: stable, typed, harmless, and left alone by a second pass."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_ray.safety.pii import find, replace
from pe_ray.safety.pii.lexicon import data
from pe_ray.safety.pii.phi import make
from pe_ray.safety.pii.surrogate import surrogate

KEY = b"0123456789abcdef"
VALUES = {
    "email": "jane@gmail.com",
    "url": "https://social.net/jane",
    "username": "@jane_doe",
    "phone": "(581) 896-0013",
    "ssn": "123-45-6789",
    "card": "4111 1111 1111 1111",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "ip": "84.12.3.4",
    "mac": "3C:22:FB:11:22:33",
    "address": "742 Evergreen Terrace",
    "zip": "97301",
    "birth_date": "March 14, 1986",
    "record_number": "00123456",
    "id_document": "X1234567",
    "vehicle": "7KLM123",
    "name": "Anna O’Brien",
}


@pytest.mark.parametrize(("kind", "value"), VALUES.items())
def test_the_same_value_and_key_give_the_same_stand_in_which_is_its_own(kind: str, value: str) -> None:
    stand_in = surrogate(kind, value, KEY)
    assert stand_in == surrogate(kind, value, KEY) != value
    assert surrogate(kind, stand_in, KEY) == stand_in
    assert surrogate(kind, stand_in, b"another key") == stand_in


def test_another_key_gives_another_mapping() -> None:
    mails = [f"jane{i}@gmail.com" for i in range(20)]
    assert {surrogate("email", m, KEY) for m in mails}.isdisjoint(surrogate("email", m, b"other") for m in mails)


def test_forms_of_one_value_agree() -> None:
    assert surrogate("phone", "(581) 896-0013", KEY) == surrogate("phone", "+1 581.896.0013", KEY)
    assert surrogate("email", "Jane@Gmail.com", KEY) == surrogate("email", "jane@gmail.com", KEY)
    assert surrogate("card", "4111-1111-1111-1111", KEY) == surrogate("card", "4111111111111111", KEY)


def test_names_keep_their_shape_and_agree_word_by_word() -> None:
    text, counts = replace("Anna Smith left. Anna called; Dr. Smith, ANNA and Anne-Marie O'Brien did not.", KEY)
    first, last = surrogate("name", "Anna Smith", KEY).split()
    assert text.startswith(f"{first} {last} left. {first} called; Dr. {last}, {first.upper()} and ")
    assert counts == {"name": 5}
    assert surrogate("name", "J. Smith", KEY) == f"X. {last}"


def test_pronouns_still_fit() -> None:
    pools = data("names")
    assert surrogate("name", "Sarah", KEY) in pools["surrogate_female"]
    assert surrogate("name", "Michael", KEY) in pools["surrogate_male"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("March 14, 1986", "January 1, 1986"),
        ("14th of March 1986", "1 January 1986"),
        ("03/14/1986", "01/01/1986"),
        ("3/14/86", "1/1/86"),
        ("1986-03-14", "1986-01-01"),
        ("May 4", "January 1"),
        ("3/14", "1/1"),
    ],
)
def test_a_birth_keeps_its_year(value: str, kept: str) -> None:
    assert surrogate("birth_date", value, KEY) == kept


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty") as refusal:
        replace("I'm Sarah", b"")
    assert "Sarah" not in str(refusal.value)


PIECES = st.sampled_from(
    [
        *VALUES.values(),
        *(
            "Sarah",
            "Mark",
            "Will",
            "Hope",
            "Smith",
            "Xolani",
            "Garcia",
            "Dr.",
            "Mrs.",
            "Mr",
            "my sister",
            "My name is",
            "I'm",
            "Signed,\n",
        ),
        *(
            "born on",
            "DOB:",
            "MRN:",
            "account number",
            "call",
            "phone",
            "plate",
            "passport",
            "zip code",
            "at",
            "dot",
            "com",
            "u/",
            "@",
            "/",
            "-",
        ),
        *(
            "988",
            "1-800-273-8255",
            "555",
            "0",
            "12",
            "Street",
            "Oak",
            "Springfield, IL",
            "St.",
            "A",
            "said",
            ".",
            ",",
            "\n",
            ": ",
            "J.",
            "the",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(PIECES, st.sampled_from([" ", "", "\n", ". "])), max_size=14))
def test_masking_twice_changes_nothing_more(pieces: list[tuple[str, str]]) -> None:
    text = "".join(piece + gap for piece, gap in pieces)
    once, _ = replace(text, KEY)
    assert replace(once, KEY) == (once, {})


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=120))
def test_no_text_is_too_odd(text: str) -> None:
    once, counts = replace(text, KEY)
    assert replace(once, KEY) == (once, {})
    if not counts:
        assert once == text


def test_nothing_planted_is_left_and_a_second_pass_is_quiet() -> None:
    for note in make(per_type=8, seed=3):
        masked, _ = replace(note.text, KEY)
        assert replace(masked, KEY) == (masked, {})
        if {s.type for s in note.truth} <= {"email", "card", "iban", "ssn", "url", "mac"}:
            assert not any(note.text[s.start : s.end] in masked for s in note.truth)


def test_stand_ins_are_harmless_addresses() -> None:
    text = replace("jane@gmail.com 581-896-0013 84.12.3.4 https://social.net/jane 123-45-6789", KEY)[0]
    mail, phone, ip, url, ssn = text.split()
    assert mail.endswith("@example.org")
    assert "-555-01" in phone
    assert ip.startswith("192.0.2.")
    assert url.startswith("https://example.org/")
    assert ssn.startswith("000-00-")
    assert {s.type for s in find(text)} <= {"email", "phone", "ip", "url", "ssn"}
