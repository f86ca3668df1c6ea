"""The settings of generation: what cannot work is refused in a line that names the value and what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pe_ray.config.generate import GenerateConfig

PRICES = {"m": {"input": 1, "output": 2}}


def test_the_defaults_need_no_network_no_key_and_no_money() -> None:
    config = GenerateConfig()
    assert (config.provider, config.url, config.author) == ("template", "", "template")
    assert (config.price.input, config.price.output) == (0, 0)


def test_an_address_of_ones_own_replaces_the_public_one() -> None:
    config = GenerateConfig(provider="openai", model="m", base_url="http://127.0.0.1:8123/v1/", prices=PRICES)
    assert config.url == "http://127.0.0.1:8123/v1"
    assert config.author == "openai m"
    assert config.price.output == 2


def test_a_local_model_costs_nothing() -> None:
    assert GenerateConfig(provider="ollama", model="some-model:8b").price.output == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"provider": "openai"}, "model is empty; provider=openai needs the name of a model"),
        ({"provider": "openai", "model": "m"}, "prices has no entry for model=m"),
        ({"provider": "anthropic", "model": "m", "prices": PRICES, "temperature": 1.5}, "temperature=1.5"),
        ({"base_url": "127.0.0.1:80"}, "is no web address"),
        ({"base_url": "ftp://host"}, "is no web address"),
        ({"base_url": "http://host:99999"}, "is no web address"),
        ({"base_url": "http://user:secret@host"}, "holds a password"),
        ({"difficulties": ()}, "must name each difficulty once"),
        ({"difficulties": ("high", "high")}, "must name each difficulty once"),
        ({"difficulties": ("extreme",)}, "moderate"),
        ({"edge_cases": 0}, "greater than 0"),
        ({"cost_cap_usd": -1}, "greater than or equal to 0"),
        ({"prices": {"m": {"input": -1, "output": 1}}}, "greater than or equal to 0"),
        ({"api_key": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        GenerateConfig(**settings)
    assert said in str(caught.value)
    assert "secret" not in caught.value.errors()[0]["msg"]
