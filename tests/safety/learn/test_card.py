from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.safety.learn import names
from pe_ray.safety.learn.card import page
from pe_ray.safety.learn.model import read_card, shipped

PAGES = Path(__file__).parents[3] / "docs" / "models"


@pytest.mark.parametrize("name", names())
def test_the_page_of_a_model_says_what_its_card_says(name: str) -> None:
    told = page(read_card(shipped() / name))
    assert (PAGES / f"{name}.md").read_text(encoding="utf-8") == told, "run: python -m pe_ray.safety.learn.card"


@pytest.mark.parametrize("name", names())
def test_a_page_names_limits_and_licences(name: str) -> None:
    card = read_card(shipped() / name)
    told = page(card)
    assert card["limits"]
    assert all(limit in told for limit in card["limits"])
    assert all(d["licence"] in told for d in card["data"])
    for word in ("compliant", "certified", "clinically validated"):
        assert word not in told
