"""What the generation of edge cases and persona dialogues can be told: how many, by which model, at what price."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pe_ray.config.section import Section

BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "ollama": "http://127.0.0.1:11434",
    "template": "",
}
"""Where each provider listens unless `base_url` says otherwise."""
PRICED = ("openai", "anthropic")
"""Providers that may cost money, so that a price must be stated."""
ANTHROPIC_MAX_TEMPERATURE = 1.0


class Price(Section):
    """US dollars per million tokens."""

    input: float = Field(ge=0)
    """Of the prompt."""
    output: float = Field(ge=0)
    """Of the reply."""


class GenerateConfig(Section):
    """Edge cases and persona dialogues that a language model writes, within a budget."""

    name: str = Field("synthetic", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Folder under `generated/`."""
    provider: Literal["openai", "anthropic", "ollama", "template"] = "template"
    """openai: any OpenAI-compatible URL. template: offline, a small fixed set, marked `generated: template`."""
    model: str = ""
    """The provider's name of the model; not used by template."""
    base_url: str = ""
    """Where the provider listens; empty: its public address (ollama: this machine)."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Laid over each request's body; null takes a key out: {max_tokens: null, max_completion_tokens: 1200}."""
    edge_cases: int = Field(75, gt=0)
    """Scenarios, spread evenly over the cells of category and difficulty."""
    categories: tuple[str, ...] = ()
    """Categories of edge cases; empty: all 25."""
    difficulties: tuple[Literal["moderate", "high", "very_high"], ...] = ("moderate", "high", "very_high")
    """Difficulties of edge cases."""
    dialogues: int = Field(20, gt=0)
    """Persona dialogues, spread evenly over the clients of the store."""
    turns: int = Field(8, ge=4, le=40)
    """Turns that a persona dialogue should have."""
    personas: Path | None = None
    """Store of persona cards (JSONL); empty: the bundled one."""
    protocols: Path | None = None
    """Safety protocols (TOML); empty: the bundled ones. Copy and edit those."""
    seed: int = 0
    """Chooses the variations, and the pairs of personas; another seed gives another set."""
    max_tokens: int = Field(1600, gt=0)
    """Longest reply that is asked for; the worst case of a request's cost."""
    temperature: float = Field(0.9, ge=0, le=2)
    """Of the model's choice of words."""
    in_flight: int = Field(16, gt=0, le=512)
    """Requests at a time."""
    requests_per_minute: int | None = Field(None, gt=0)
    """Most requests begun in a minute; empty: no limit of ours."""
    tokens_per_minute: int | None = Field(None, gt=0)
    """Most tokens, prompt and reply, in a minute; empty: no limit of ours."""
    cost_cap_usd: float = Field(5.0, ge=0)
    """A request is sent only if its worst case still fits under this."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """Price of each model, as its provider's page says it today: {some-model: {input: 0.4, output: 1.6}}."""
    timeout_s: float = Field(120.0, gt=0)
    """Longest wait for one reply."""
    attempts: int = Field(4, gt=0, le=20)
    """Times that one scenario is asked for before it counts as failed."""
    variations: int = Field(3, gt=0, le=10)
    """Specifications tried for one scenario when a text was written before."""
    backoff_s: float = Field(1.0, gt=0)
    """First pause before asking again; it doubles each time."""
    backoff_max_s: float = Field(60.0, gt=0)
    """Longest pause, also where the provider asks for a longer one."""
    stop_after_failures: int = Field(20, gt=0)
    """Failed scenarios in a row after which the run stops, to be resumed."""

    @property
    def url(self) -> str:
        """Where requests go, without a slash at its end."""
        return (self.base_url or BASE_URLS[self.provider]).rstrip("/")

    @property
    def author(self) -> str:
        """What generated records are marked with: `openai some-model`, or `template`."""
        return "template" if self.provider == "template" else f"{self.provider} {self.model}"

    @property
    def price(self) -> Price:
        """Of this run's model; a local one costs nothing."""
        return self.prices.get(self.model) or Price(input=0, output=0)

    @field_validator("base_url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            good = not value or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
            secret = parts.password is not None
        except ValueError:
            good, secret = False, False
        if secret:
            raise ValueError("holds a password; keys come from the environment")
        if not good:
            raise ValueError(f"{value!r} is no web address; http://host:port/v1 or https://... is wanted")
        return value

    @model_validator(mode="after")
    def _provider_is_told(self) -> GenerateConfig:
        if self.provider != "template" and not self.model:
            raise ValueError(f"model is empty; provider={self.provider} needs the name of a model")
        if self.provider in PRICED and self.model not in self.prices:
            raise ValueError(
                f"prices has no entry for model={self.model}; state its dollars per million tokens, "
                f"0 if it is yours: prices={{{self.model}: {{input: 0.4, output: 1.6}}}}"
            )
        if self.provider == "anthropic" and self.temperature > ANTHROPIC_MAX_TEMPERATURE:
            raise ValueError(f"temperature={self.temperature:g} is more than the 1 that provider=anthropic accepts")
        if len(set(self.difficulties)) != len(self.difficulties) or not self.difficulties:
            raise ValueError(f"difficulties={list(self.difficulties)} must name each difficulty once, and at least one")
        return self
