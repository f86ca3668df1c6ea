import random
import re

import pytest

from pe_ray.safety.normalise import APART, UNUSUAL, fold, normalise, readings


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("I'm gonna k1ll mys3lf", "i am going to kill myself"),
        ("k i l l  m y s e l f", "kill myself"),
        ("I w a n t t o d i e", "i want to die"),
        ("su*cide, $uicide", "suicide , suicide"),
        ("kìll mуself", "kill myself"),  # an accent and a Cyrillic letter
        ("k\u200bill my\u200dself", "kill myself"),
        ("Ｉ ｗａｎｔ", "i want"),
        ("killlll", "kill"),
        ("un-alive K.I.L.L", "un-alive kill"),
        ("I can't, won't, shan't; mum's", "i can not , will not , shall not ; mother's"),
        ("10mg at 3am for C3PO", "10mg at 3am for c3po"),
        ("A B C D E", "a b c d e"),
        ("i dont want 2 go at 2", "i do not want to go at 2"),
    ],
)
def test_disguises_come_off_and_ordinary_words_stay(raw, folded):
    assert normalise(raw).text == folded


def test_a_span_leads_back_to_the_original_characters():
    raw = "Well\u200b, I'm gonna k1ll mys3lf tonight"
    folded = normalise(raw)
    at = folded.text.index("kill myself")
    start, end = folded.origin(at, at + len("kill myself"))
    assert raw[start:end] == "k1ll mys3lf"


@pytest.mark.parametrize(
    "raw", ["", " ", "\ud800", "a\x00b", "\u200b" * 50, "🙂" * 20, "x" * 20_000, "'" * 500, "a " * 3000]
)
def test_any_text_is_folded(raw):
    folded = normalise(raw)
    assert len(folded.starts) == len(folded.origins)
    assert folded.origin(0, 3)[0] <= len(raw)


def test_words_stay_out_of_the_repr():
    assert "grandmother" not in repr(normalise("my grandmother"))


AWKWARD = (
    *(
        "k i l l",
        "s.u.i.c.i.d.e",
        "i a i a",
        "a I a a",
        "want 2 die",
        "gonna 2 d1e",
        "4 me",
        "want, 2",
        "e.g. this",
        "I.",
    ),
    *(
        "ki\u200bll",
        "\u200b",
        "ＫＩＬＬ",
        "don`t",
        "don`t é",
        "ﬁne",
        "\u00a0x\u00a0",
        "a\n\n\nb\n \nc",
        "  two  spaces ",
        "\x00 a b",
    ),
    *(
        "\ud83d",
        "İ",
        "k*ll m3",
        "@ss $elf",
        "mother-in-law's",
        "y'all've",
        "o'clock",
        "caf\u00e9",
        "\x01",
        "Ｗ２ 2",
        "",
    ),
)


@pytest.mark.parametrize("text", [*AWKWARD, " ".join(AWKWARD), "\n".join(AWKWARD)])
def test_the_quick_way_folds_alike(text):
    assert fold(text) == normalise(text).text


def test_the_quick_way_folds_alike_whatever_stands_side_by_side():
    draw = random.Random(4)
    for _ in range(1500):
        text = draw.choice(["", " ", " ", "\n"]).join(draw.choices(AWKWARD, k=draw.randint(2, 6)))
        assert fold(text) == normalise(text).text, text


def test_every_word_of_a_plain_text_is_among_its_readings():
    draw = random.Random(5)
    pieces = [
        "don't",
        "DONT",
        "he's",
        "im",
        "k1ll",
        "kiiill",
        "od'd",
        "gonna",
        "2",
        "4",
        "self-harm",
        "sewer-slide",
        "mum",
        "mother-in-law's",
        "women'",
        "'tis",
        "u",
        "ur",
    ]
    for _ in range(800):
        text = draw.choice([" ", ", ", ".", "/"]).join(draw.choices(pieces, k=6))
        if re.search(UNUSUAL.replace(r"\z", r"\Z"), text) or APART.search(text):
            continue
        words = re.findall("[a-z0-9]+", text.lower().replace("'", ""))
        known = {run for w in words for form in readings(w) for run in re.findall("[a-z0-9]+", form)}
        assert set(re.findall("[a-z0-9]+", fold(text))) <= known, text


@pytest.mark.parametrize(
    "text", ["w0m@n", "k*ll", "don't-care", "y'all've", "o'clock", "é", "wow!yes", "don‘t", "sit't", "l'r"]
)
def test_a_text_that_no_reading_of_its_words_tells_is_unusual(text):
    assert re.search(UNUSUAL.replace(r"\z", r"\Z"), text)


@pytest.mark.parametrize(
    "text", ["I don’t – she’s “here”…", "It's 4 o clock! (or so), he'd said: 'well'.", "we'll; they're"]
)
def test_ordinary_writing_is_not_unusual(text):
    assert not re.search(UNUSUAL.replace(r"\z", r"\Z"), text)


def test_numbers_and_addresses_are_not_remembered() -> None:
    from pe_ray.safety.normalise import _PIECES

    assert fold("Ring 555-0173 or write to ada@mail.example today") == fold(
        "Ring 555-0173 or write to ada@mail.example today"
    )
    assert not any("555" in piece or "@" in piece for piece in _PIECES)
    assert "today" in _PIECES
