"""The list of scenarios follows from the settings alone, covers every cell, and holds nothing twice."""

from __future__ import annotations

from collections import Counter

import pytest

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate import personas, scenario
from pe_ray.corpus.sources.edge_case import CATEGORIES, DIFFICULTIES
from pe_ray.errors import ConfigError


def test_eight_thousand_scenarios_are_spread_evenly_and_no_specification_stands_twice() -> None:
    found = scenario.edge_cases(GenerateConfig(provider="ollama", model="m", edge_cases=8000))
    cells = Counter((s.specifications[0].data["category"], s.specifications[0].data["difficulty"]) for s in found)
    assert len(cells) == len(CATEGORIES) * len(DIFFICULTIES)
    assert sum(cells.values()) == 8000
    assert max(cells.values()) - min(cells.values()) <= 1
    ids = [p.id for s in found for p in s.specifications]
    assert len(set(ids)) == len(ids) == 8000 * 3
    assert [s.number for s in found] == list(range(8000))


def test_the_same_settings_give_the_same_list_and_another_seed_another_one() -> None:
    def ids(**more: object) -> list[str]:
        return [s.id for s in scenario.edge_cases(GenerateConfig(edge_cases=40, **more))]  # type: ignore[arg-type]

    assert ids() == ids() == ids(cost_cap_usd=1, in_flight=2)
    assert not set(ids()) & set(ids(seed=1))


def test_a_category_speaks_at_its_own_ages() -> None:
    found = scenario.edge_cases(GenerateConfig(categories=("adolescent_defiance",), edge_cases=60))
    assert {p.data["age"] for s in found for p in s.specifications} == {"an adolescent of 14 to 17"}


def test_chosen_cells_and_no_others() -> None:
    config = GenerateConfig(categories=("suicidality",), difficulties=("high",), edge_cases=5)
    assert {
        (s.specifications[0].data["category"], s.specifications[0].data["difficulty"])
        for s in scenario.edge_cases(config)
    } == {("suicidality", "high")}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"categories": ("suicidalty",)}, "did you mean 'suicidality'"),
        ({"categories": ("suicidality", "suicidality")}, "names a category twice"),
        ({"categories": ("suicidality",), "edge_cases": 10_000_000}, "ask for fewer"),
    ],
)
def test_what_cannot_be_listed_is_refused_in_one_line(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        scenario.edge_cases(GenerateConfig(**settings))
    assert "\n" not in str(caught.value)


def test_dialogues_use_every_client_evenly_and_no_encounter_twice() -> None:
    cards = list(personas.load().cards.values())
    config = GenerateConfig(provider="ollama", model="m", dialogues=50)
    found = scenario.dialogues(config, cards)
    clients = Counter(s.specifications[0].data["client"] for s in found)
    assert max(clients.values()) - min(clients.values()) <= 1
    assert len(clients) == sum(c.role == "client" for c in cards)
    ids = [p.id for s in found for p in s.specifications]
    assert len(set(ids)) == len(ids)
