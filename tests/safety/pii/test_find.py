"""What is personal data, what is none, and what each pattern's validator refuses."""

from __future__ import annotations

import time

import pytest

from pe_ray.safety.pii import TYPES, find, may_hold
from pe_ray.safety.pii.numbers import luhn, mod97, social_security
from pe_ray.safety.pii.spans import Span, merge


def found(text: str, **options: object) -> list[tuple[str, str]]:
    return [(text[s.start : s.end], s.type) for s in find(text, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("Write to jane.o'doe+x@mail.gmail.com.", "jane.o'doe+x@mail.gmail.com", "email"),
        ("it is jane (at) gmail (dot) com ok", "jane (at) gmail (dot) com", "email"),
        ("it is jane at gmail dot com ok", "jane at gmail dot com", "email"),
        ("Call me on (581) 896-0013 x22 please", "(581) 896-0013 x22", "phone"),
        ("Call me on +1 581.896.0013.", "+1 581.896.0013", "phone"),
        ("Ring 020 7946 0018 after six", "020 7946 0018", "phone"),
        ("Ring +44 (0)20 7946 0018 after six", "+44 (0)20 7946 0018", "phone"),
        ("Ring 07911 123456 now", "07911 123456", "phone"),
        ("Ring +49 30 901820 now", "+49 30 901820", "phone"),
        ("my phone is 896-0013, ok", "896-0013", "phone"),
        ("SSN 123-45-6789", "123-45-6789", "ssn"),
        ("my social security number is 123456789", "123456789", "ssn"),
        ("card 4111 1111 1111 1111 was charged", "4111 1111 1111 1111", "card"),
        ("amex 378282246310005", "378282246310005", "card"),
        ("to GB82 WEST 1234 5698 7654 32 please", "GB82 WEST 1234 5698 7654 32", "iban"),
        ("from 84.12.3.4, at night", "84.12.3.4", "ip"),
        ("from fe80::1ff:fe23:4567:890a at night", "fe80::1ff:fe23:4567:890a", "ip"),
        ("device 3C-22-FB-11-22-33 seen", "3C-22-FB-11-22-33", "mac"),
        ("see https://social.net/jane.doe?x=1#a, please", "https://social.net/jane.doe?x=1#a", "url"),
        ("see www.janes-page.org.", "www.janes-page.org", "url"),
        ("see facebook.com/jane.doe.5", "facebook.com/jane.doe.5", "url"),
        ("at 742 Evergreen Terrace, Springfield, IL 62704.", "742 Evergreen Terrace, Springfield, IL 62704", "address"),
        ("at Flat 3, 12 Baker Street, London NW1 6XE", "Flat 3, 12 Baker Street, London NW1 6XE", "address"),
        ("I live at 12 Golden Keys", "12 Golden Keys", "address"),
        ("at 17 maple street with him", "17 maple street", "address"),
        ("P.O. Box 1234, he said", "P.O. Box 1234", "address"),
        ("in Salem, OR 97301 since", "97301", "zip"),
        ("near NW1 6XE since", "NW1 6XE", "zip"),
        ("born on March 14, 1986 in a storm", "March 14, 1986", "birth_date"),
        ("DOB: 1986-03-14", "1986-03-14", "birth_date"),
        ("my birthday is 3/14 and", "3/14", "birth_date"),
        ("MRN: 00123456", "00123456", "record_number"),
        ("account number is 99-8877-6655", "99-8877-6655", "record_number"),
        ("NHS number 943 476 5919", "943 476 5919", "record_number"),
        ("passport no. X1234567", "X1234567", "id_document"),
        ("driver's license D123-4567-8901", "D123-4567-8901", "id_document"),
        ("NI number QQ was never used but AB 12 34 56 C is", "AB 12 34 56 C", "id_document"),
        ("license plate 7KLM123 outside", "7KLM123", "vehicle"),
        ("follow @jane_doe there", "@jane_doe", "username"),
        ("posted by u/sadgirl99 today", "u/sadgirl99", "username"),
        ("my insta is jane.x99", "jane.x99", "username"),
    ],
)
def test_each_kind_is_found_in_full(text: str, value: str, kind: str) -> None:
    assert kind in TYPES
    assert (value, kind) in found(text)
    assert may_hold(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00",
        "half a \ud800 surrogate",
        "I am 47, sober since 2019, after 12 years; it cost $1,200.50 or £300.",
        "300 mg at 10:30, 5-10 sessions, 24/7, 12-step, 3/4, 22%, 7 out of 10",
        "F32.1, F43.10, 296.33, DSM-5, ICD-10, PHQ-9 = 17",
        "from 1990-1995 and 2010 to 2012, on 03/14/2020 and March 3rd, 2021",
        "version 1.2.3.4, localhost 127.0.0.1, ratio 10-20-30, p. 123-456",
        "and/or, he/she, him/herself, c/o, w/o, n/a, me@home is a show",
        "e.g. the U.S.A. at 5 p.m., i.e. home.But then I left.So be it...",
        "I walked 5 miles down the road, 3 blocks along the street, a 5 minute Drive",
        "case 2020, chapter 12345, claim 5 of 10, medicare 2024, policy 2019-2020",
        "ssn 000-12-3456, 666-12-3456, 123-00-4567, 123-45-0000",
        "card 4111 1111 1111 1112, 0000 0000 0000 0000, 1234567890123",
        "the account was closed in 2019 and I was born in 1980",
        "10 Ways To Find Peace, 7 Simple Steps, 100 Good Ideas",
        "anecdote, antidote, dotted line, at dot, look at dots",
        "room 101, form 1040, highway 61, Apollo 13, 7-Eleven, B12, GB82 WEST 1234 5698 7654 33",
        "at 7pm the 3 of us, @ 5, @home2",
    ],
)
def test_ordinary_numbers_and_signs_are_no_personal_data(text: str) -> None:
    assert found(text) in ([], [("@home2", "username")])


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (luhn, "5555 5555 5555 4444", "5555 5555 5555 4445"),
        (luhn, "378282246310005", "9111111111111111"),
        (mod97, "DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
        (social_security, "123-45-6789", "900-12-3456"),
        (social_security, "900-70-3456", "666-45-6789"),
    ],
)
def test_validators(check, good: str, bad: str) -> None:  # type: ignore[no-untyped-def]
    assert check(good)
    assert not check(bad)


def test_of_two_findings_the_longer_stands_and_none_overlaps() -> None:
    spans = [Span(0, 5, "phone"), Span(3, 12, "url"), Span(12, 14, "name"), Span(0, 5, "ssn"), Span(13, 20, "email")]
    assert merge(spans) == [Span(3, 12, "url"), Span(13, 20, "email")]
    assert merge([Span(0, 5, "phone"), Span(0, 5, "ssn")]) == [Span(0, 5, "ssn")]
    assert merge([]) == []


def test_a_span_shows_no_text() -> None:
    (span,) = find("mail me: jane@gmail.com")
    assert "jane" not in repr(span)


def test_hostile_text_takes_linear_time() -> None:
    start = time.process_time()
    for piece in (
        "1",
        "1 ",
        "1-",
        "a@",
        "@a",
        "a.",
        "1.",
        ":",
        "Aa ",
        "Dr. ",
        "A-",
        "my name is ",
        "0 A ",
        "MRN ",
        "(",
        "http://",
        "u/",
        " dot ",
    ):
        find(piece * (20_000 // len(piece)))
    find("MRN" + " " * 20_000 + "1")
    find("born" + " the" * 5_000 + " 1")
    assert time.process_time() - start < 12
