from __future__ import annotations

import random
import time

import ftfy
import pytest

from pe_ray.corpus import clean
from pe_ray.record import Message, Record, from_table, to_table


@pytest.mark.parametrize(
    ("raw", "repaired", "changes"),
    [
        ("I am fine.", "I am fine.", []),
        ("one\r\ntwo\rthree", "one\ntwo\nthree", ["line_ends"]),
        ("I donâ€™t know", "I don’t know", ["encoding"]),
        ("well\x00 then\x07", "well then", ["control"]),
        ("salt &amp; pepper", "salt & pepper", ["entities"]),
        ("a&amp;nbsp;b", "a b", ["entities", "spaces"]),
        ("<p>Hello</p><p>there<br>you</p>", "Hello\n\nthere\nyou", ["html", "whitespace"]),
        ("&lt;b&gt;bold&lt;/b&gt; move", "bold move", ["entities", "html"]),
        ("<style>p {color: red}</style>Kept", "Kept", ["html"]),
        ("p.p1 {margin: 0.0px; font: 12px Helvetica}Kept", "Kept", ["css"]),
        ("cafe\u0301", "café", ["unicode"]),
        ("no\u00a0break\u2009thin", "no break thin", ["spaces"]),
        ("hid\u200bden soft\u00adhyphen\ufeff", "hidden softhyphen", ["zero_width"]),
        ("I left home.But he stayed!Then I cried.", "I left home. But he stayed! Then I cried.", ["sentence_gap"]),
        ("It cost 300.I paid.", "It cost 300. I paid.", ["sentence_gap"]),
        ("  too   many \n\n\n\n gaps ", "too many\n\ngaps", ["whitespace"]),
        ("", "", []),
    ],
)
def test_each_fault_is_repaired_under_its_name(raw: str, repaired: str, changes: list[str]) -> None:
    assert clean.clean_text(raw) == (repaired, changes)


@pytest.mark.parametrize(
    "text",
    [
        "See www.Example.Com/Help.Html or write to me@Home.Example.Com",
        "It was 3.5 or 4.25, e.g. in the U.S.A. or for a Ph.D. at 5 p.m.",
        "Call 1-800-273-8255 or 988, any time.",
        "I <3 my dog & he <knows> it",
        "if x < 3 and y > 4",
        "a family 👩\u200d👩\u200d👧 and নিউ\u200cইয়র্ক",
        "“Curly” quotes – and dashes — stay…",
        "He said {nothing at all}",
    ],
)
def test_what_is_right_stays(text: str) -> None:
    assert clean.clean_text(text) == (text, [])


def test_cleaning_twice_changes_nothing_more() -> None:
    messy = "<p>Itâ€™s&nbsp;over.But\u200b</p>\r\n\r\n\r\n<div> p {a: b} end </div>"
    once, _ = clean.clean_text(messy)
    assert clean.clean_text(once) == (once, [])


def test_hostile_text_takes_linear_time() -> None:
    start = time.process_time()
    for piece in ("{a:", "<p ", "&amp", "a.B", "[your ", "\u00a0", "*#.{"):
        clean.clean_text(piece * 7000)
    assert time.process_time() - start < 3


def record(question: str, answer: str = "An answer.") -> Record:
    return Record.create(
        source="standard",
        domain="psychology",
        content_type="qa",
        messages=[Message("user", question), Message("assistant", answer)],
        uri="a.jsonl",
        offset=1,
        licence="",
        attribution="",
    )


def test_a_table_keeps_its_rows_and_ids_and_says_what_changed() -> None:
    records = [record("plain"), record("a&amp;b", "c  d"), record("...")]
    table = clean.apply(to_table(records))
    assert table["id"].to_pylist() == [r.id for r in records]
    assert [r.text_of("user") for r in from_table(table)] == ["plain", "a&b", "..."]
    assert table["changes"].to_pylist() == [[], ["entities", "whitespace"], []]
    assert table["fault"].to_pylist() == [None, None, "no words left in message 1 (user)"]
    assert clean.apply(to_table([])).schema == table.schema


@pytest.mark.parametrize("text", ["Hello [User 1's name], welcome", "Dear [Name]", "Hi {{client}}", "Hi {first_name}!"])
def test_an_unfilled_template_is_a_fault(text: str) -> None:
    (fault,) = clean.apply(to_table([record("fine", text)]))["fault"].to_pylist()
    assert fault == "a template's blank was not filled in message 2 (assistant)"


PIECES = (
    *(
        "home.But",
        "300.I",
        "e.g.",
        "U.S.A",
        "www.Home.Com",
        "<p>",
        "</p>",
        "I <3",
        "&amp;",
        "&",
        "{a: b}",
        "[Name]",
        "{{x}}",
    ),
    *(
        "“",
        "”",
        "’",
        "‘",
        "–",
        "—",
        "…",
        "\u00a0",
        "é",
        "â€™",
        "Ã",
        "\u200b",
        "\u200d",
        "👩",
        "Ⅷ",
        "\x00",
        "\x1c",
        "\x85",
    ),
    *("word", "A", "b", "3", " ", "  ", "\t", "\n", "\n\n\n", " \n", "\r\n", ".", "!", "?", "...", "-", "_", "你好"),
)


def test_a_column_is_cleaned_as_each_of_its_texts_is() -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices(PIECES, k=draw.randint(1, 7))) for _ in range(800)]
    records = [record(text, "An answer") for text in texts if text.strip()]
    table = clean.apply(to_table(records))
    for before, after, changes in zip(records, from_table(table), table["changes"].to_pylist(), strict=True):
        repaired, names = clean.clean_text(before.messages[0].text)
        assert after.messages[0].text == repaired
        assert changes == names


def test_curly_quotes_and_dashes_alone_are_never_mojibake() -> None:
    draw = random.Random(4)
    for _ in range(1000):
        text = "".join(
            draw.choices([*clean.CURLY, "\u00a0", "a", "Z", "7", " ", ".", "?", "\n", "\x00", "&", "~"], k=8)
        )
        assert clean.NO_MOJIBAKE.fullmatch(text)
        assert text.isascii() or ftfy.fix_text(text, clean.FTFY) == text


def test_the_first_faulty_message_is_named_with_its_number() -> None:
    table = clean.apply(
        to_table([record("fine", "also fine"), record("...", "[Name]"), record("你好", "Dear {{name}}")])
    )
    assert table["fault"].to_pylist() == [
        None,
        "no words left in message 1 (user)",
        "a template's blank was not filled in message 2 (assistant)",
    ]
