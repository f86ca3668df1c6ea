"""What is to be written: the list of scenarios of a kind, how each is asked for, and how an answer is judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate import answer, personas, prompt, scenario
from pe_ray.corpus.generate.personas import Card
from pe_ray.corpus.generate.protocol import ORDINARY, Protocols
from pe_ray.corpus.generate.scenario import Kind, Scenario, Specification
from pe_ray.corpus.generate.screen import Screened, screen_dialogue, screen_edge_case
from pe_ray.errors import ConfigError
from pe_ray.record import Message, digest

DECIDING = (
    *("provider", "model", "extra_body", "categories", "difficulties", "turns", "seed", "max_tokens", "temperature"),
    "variations",
)
"""Settings that decide what is written. A set may be finished at another address, speed or cap."""
TEMPLATE_EDGE_CASES_PER_CELL = 1
FILES: Mapping[Kind, str] = {"edge-cases": "edge_cases.jsonl", "personas": "dialogues.jsonl"}


@dataclass(frozen=True)
class Task:
    """One set to write."""

    kind: Kind
    scenarios: Sequence[Scenario] = field(repr=False)
    fingerprint: str
    parents: Mapping[str, str]
    ask: Callable[[Specification, str], tuple[Message, ...]]
    """The request for a specification; the text says why the last answer was not taken."""
    judge: Callable[[str, Specification, str], Screened]
    """Of scenario id, specification and the model's text; raises Unusable."""

    @property
    def file(self) -> str:
        """Name of the finished file."""
        return FILES[self.kind]


def prepare(kind: Kind, config: GenerateConfig, protocols: Protocols) -> Task:
    """The task of one kind; raises ConfigError for settings that cannot be met."""
    return _edge_cases(config, protocols) if kind == "edge-cases" else _dialogues(config, protocols)


def _edge_cases(config: GenerateConfig, protocols: Protocols) -> Task:
    scenarios = scenario.edge_cases(config)
    cells = len({(s.specifications[0].data["category"], s.specifications[0].data["difficulty"]) for s in scenarios})
    _within_templates(config, "edge_cases", config.edge_cases, cells * TEMPLATE_EDGE_CASES_PER_CELL)

    def ask(wanted: Specification, fault: str) -> tuple[Message, ...]:
        return prompt.edge_case(wanted, protocols.of(wanted.data["category"], wanted.data["difficulty"]), fault)

    def judge(id_: str, wanted: Specification, text: str) -> Screened:
        protocol = protocols.of(wanted.data["category"], wanted.data["difficulty"])
        return screen_edge_case(id_, config.author, wanted, protocol, answer.edge_case(text))

    parents = {"protocols": protocols.digest, "variations": scenario.variations_digest()}
    return _task("edge-cases", scenarios, config, parents, ask, judge)


def _dialogues(config: GenerateConfig, protocols: Protocols) -> Task:
    store = personas.load(config.personas)
    scenarios = scenario.dialogues(config, list(store.cards.values()))
    clients = sum(c.role == "client" and len(c.lines) >= 2 for c in store.cards.values())
    _within_templates(config, "dialogues", config.dialogues, clients)
    protocol = protocols.of(ORDINARY, "moderate")

    def pair(wanted: Specification) -> tuple[Card, Card]:
        return store.cards[wanted.data["client"]], store.cards[wanted.data["therapist"]]

    def ask(wanted: Specification, fault: str) -> tuple[Message, ...]:
        return prompt.dialogue(wanted, *pair(wanted), protocol, fault)

    def judge(id_: str, wanted: Specification, text: str) -> Screened:
        client, therapist = pair(wanted)
        found = answer.dialogue(text, client.name, therapist.name, wanted.data["turns"])
        return screen_dialogue(id_, config.author, client, therapist, protocol, found)

    parents = {"protocols": protocols.digest, "personas": store.digest}
    return _task("personas", scenarios, config, parents, ask, judge)


def _task(
    kind: Kind,
    scenarios: Sequence[Scenario],
    config: GenerateConfig,
    parents: Mapping[str, str],
    ask: Callable[[Specification, str], tuple[Message, ...]],
    judge: Callable[[str, Specification, str], Screened],
) -> Task:
    settings = json.dumps(config.model_dump(mode="json", include=set(DECIDING)), sort_keys=True)
    ids = digest(*(s.id for s in scenarios))
    parents = {"settings": digest(settings), "prompts": prompt.WORDING, **parents}
    fingerprint = digest(kind, ids, *(f"{k}={v}" for k, v in sorted(parents.items())))[:16]
    return Task(kind, scenarios, fingerprint, parents, ask, judge)


def _within_templates(config: GenerateConfig, setting: str, asked: int, most: int) -> None:
    if config.provider == "template" and asked > most:
        raise ConfigError(
            f"generate.{setting}={asked}: the offline templates hold {most} different texts for these settings; ask "
            "for that many at most, or name a provider (openai, anthropic, ollama)"
        )
