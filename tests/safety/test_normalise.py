import pytest

from pe_ray.safety.normalise import normalise


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
