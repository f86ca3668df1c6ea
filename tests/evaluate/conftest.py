"""A world in which evaluating takes seconds: a corpus with labelled statements, a run of a few steps, its adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from pe_ray.config import Config, check
from pe_ray.record import DOMAINS, Record
from pe_ray.store.paths import Home
from tests.corpus.finished import record, snapshot

torch.set_num_threads(1)

WORDS = {
    "psychology": "conditioning",
    "mental_health": "sleeplessness",
    "general_therapeutic": "an argument at home",
}


@dataclass(frozen=True)
class World:
    """Nobody changes it."""

    home: Home
    corpus: Path
    config: Config
    adapter: Path


def make_records(count: int = 40) -> list[Record]:
    """Short exchanges, the domains in turn; of bias_detection every second statement is biased."""
    return [_statement(i) if DOMAINS[i % 4] == "bias_detection" else _question(i) for i in range(count)]


def _question(i: int) -> Record:
    topic = WORDS[DOMAINS[i % 4]]
    turns = (("user", f"What about {topic}, day {i}?"), ("assistant", f"Tell me how {topic} was on day {i}."))
    return record(i, *turns, domain=DOMAINS[i % 4])


def _statement(i: int) -> Record:
    biased = i % 8 == 2
    said = f"People over {50 + i} never learn." if biased else f"She is {50 + i} and asked for a larger print."
    swapped = said.replace("over", "under")
    answer = f"An age of {50 + i} says little about learning.\n\nLet us ask her what she would like."
    return record(
        i,
        ("user", said),
        ("assistant", answer),
        domain="bias_detection",
        metadata={"group": "age", "biased": str(biased).lower(), "swapped_statement": swapped},
    )


def split_of(i: int) -> str:
    """Two of ten are held out, whole rounds of domains."""
    return "validation" if i % 40 >= 24 and i % 40 < 32 else "train"


def make_config(**model) -> Config:
    """Four experts over a base of one layer; six steps."""
    tiny = {"vocab_size": 400, "layers": 1, "width": 32, "heads": 2, "kv_heads": 1, "positions": 256}
    tiny |= {"steps": 4, "tokens_per_step": 256, "context": 64}
    train = {"steps": 6, "micro_batch": 2, "accumulation": 1, "context": 128, "threads": 1, "learning_rate": 5e-3}
    data = {"base": {"name": "tiny", "tiny": tiny}, "model": {"rank": 4, "alpha": 8} | model, "train": train}
    return check(data | {"export": {"name": "small", "merged": False}})


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run of six steps called `first`, and its adapter."""
    from pe_ray.corpus.tokenise import tokenise
    from pe_ray.train.base import ensure_base
    from pe_ray.train.run import export, train

    home, config = Home.at(tmp_path_factory.mktemp("world")), make_config()
    corpus = snapshot(home.root, make_records(), split_of)
    base = ensure_base(config, corpus, home).path
    made = train(config, tokenise(corpus, base), base, home, "first", profile_name="fast")
    return World(home, corpus, config, Path(export(config, made.checkpoint, base, home)["adapter"]))
