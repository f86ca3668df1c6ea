from __future__ import annotations

import pytest

from pe_ray.safety.groups import GROUP, masked


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("women and gay men are lazy", "<g> and <g> are lazy"),
        ("people with schizophrenia came", "<g> came"),
        ("an african american woman is here", "an <g> <g> is here"),
        ("the black cat is old", "the black cat is <g>"),
        ("young black people", "<g>"),
        ("she is gay", "they is <g>"),
        ("we drove straight home", "we drove straight home"),
        ("his wife met the actress", "their husband met the actor"),
        ("", ""),
    ],
)
def test_groups_are_hidden_and_either_sex_made_alike(text: str, wanted: str) -> None:
    assert " ".join(masked(text.split())) == wanted


def test_kin_are_groups_only_where_they_are_asked_for() -> None:
    assert masked(["my", "mom"]) == ["my", "dad"]
    assert masked(["my", "mom"], kin=True) == ["my", GROUP]


@pytest.mark.parametrize(("one", "other"), [("muslims", "jews"), ("he", "she"), ("wife", "husband"), ("men", "women")])
def test_what_is_swapped_looks_the_same(one: str, other: str) -> None:
    assert masked(f"i saw {one} there".split()) == masked(f"i saw {other} there".split())
