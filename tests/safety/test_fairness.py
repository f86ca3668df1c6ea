from __future__ import annotations

import os
from pathlib import Path

import pytest

from pe_ray.safety.fairness import gap, mentions, pairs, swap, swap_pairs

ODD = ["", " ", "\x00", "😀", "\ud800", "word " * 20_000]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Muslims and a Black man met two wheelchair users.", ["muslims", "black", "man", "wheelchair users"]),
        ("The black cat sat on the old fence.", []),
        ("She is deaf.", ["deaf"]),
        ("We drove straight to the English garden.", []),
        ("people with schizophrenia and the elderly", ["people with schizophrenia", "the elderly"]),
        ("Jewish people are people.", ["jewish people"]),
    ],
)
def test_groups_are_found_where_people_are_meant(text: str, named: list[str]) -> None:
    found = mentions(text)
    assert [m.term for m in found] == named
    assert all(text[m.start : m.end].lower() == m.term for m in found)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("An immigrant lives here.", "A refugee lives here."),
        ("MUSLIMS live here.", "JEWS live here."),
        ("Gay men came, and gay men left.", "Lesbian men came, and lesbian men left."),
    ],
)
def test_the_first_variant_keeps_article_and_capitals(text: str, wanted: str) -> None:
    assert swap(text)[0].text == wanted


def test_both_sexes_are_exchanged_all_at_once() -> None:
    text = "He gave her the book; his sister told him that it was her book."
    (variant,) = swap(text, axes=["sex"])
    assert variant.text == "She gave him the book; her brother told her that it was his book."


@pytest.mark.parametrize("text", ODD)
def test_a_text_without_groups_has_no_variant(text: str) -> None:
    assert swap(text) == []


def test_a_gap_is_the_change_of_the_score() -> None:
    def judge(texts: list[str]) -> list[float]:
        return [0.9 if "muslim" in t.lower() else 0.1 for t in texts]

    texts = ["A muslim asked for help.", "Christians asked for help.", "Nobody asked for help."]
    found = gap(judge, texts, each=3)
    assert found.texts == 2
    assert found.largest == pytest.approx(0.8)
    assert found.consistent < 1
    assert found.by_axis == {"religion": pytest.approx(0.8 * 3 / found.swaps)}
    fair = gap(lambda ts: [float(len(t) > 3) for t in ts], texts)
    assert (fair.largest, fair.consistent) == (0.0, 1.0)
    assert gap(judge, []).swaps == 0


def test_pairs_of_a_list_go_both_ways() -> None:
    table = pairs("actor \t actress \nking\tqueen\nodd line\n")
    assert swap_pairs("The actress met a King.", table) == "The actor met a Queen."


def test_swapping_winobias_words_twice_gives_the_text_again() -> None:
    root = Path(os.environ.get("PE_RAY_DATA", "")) / "labels" / "winobias"
    if not os.environ.get("PE_RAY_DATA") or not root.is_dir():
        pytest.skip("PE_RAY_DATA holds no WinoBias")
    table = pairs((root / "extra_gendered_words.txt").read_text())
    both = [
        w for w, other in table.items() if table[other] == w and (w + other).isalpha()
    ]  # one has a stray apostrophe
    assert len(both) > 100
    assert all(swap_pairs(swap_pairs(w, table), table) == w for w in both)
