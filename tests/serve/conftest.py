"""A real model of two layers, engines around it, and a gateway on a temporary home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

import httpx
import pytest
import torch

from pe_ray.config import ServeConfig
from pe_ray.record import JournalEntry
from pe_ray.security.access import Access
from pe_ray.security.keys import Keys
from pe_ray.security.transit import open_entry, seal_entry
from pe_ray.serve import api
from pe_ray.serve.engine.base import Completion, EngineInfo, GenerateRequest, TokenEvent, gather
from pe_ray.serve.engine.transformers import TransformersEngine
from pe_ray.serve.gateway import Gateway
from pe_ray.store.outbox import Outbox
from tests.model.bases import tiny_llama

torch.set_num_threads(1)


class Scripted:
    """An engine that says given sentences in turn and remembers what it was asked."""

    def __init__(self, *says: str | Exception, demo: bool = False, pause_s: float = 0.0) -> None:
        self.says, self.asked, self.pause_s = list(says), [], pause_s
        self._info = EngineInfo("scripted@1", "merged", demo)

    async def info(self) -> EngineInfo:
        return self._info

    async def health(self) -> bool:
        return True

    async def complete(self, request: GenerateRequest) -> Completion:
        return await gather(self.generate(request))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        self.asked.append(request)
        words = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        await asyncio.sleep(self.pause_s)
        if isinstance(words, Exception):
            raise words
        parts = words.split(" ")
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            yield TokenEvent(part if last else f"{part} ", 1, "stop" if last else None, 5)


class Place:
    """A gateway with everything around it."""

    def __init__(self, home, engine, **config) -> None:
        self.home, self.engine = home, engine
        self.keys = Keys(home)
        self.outbox = Outbox(home.outbox / "test.db")
        self.now = 1000.0
        self.gateway = Gateway(
            engine, self.outbox, partial(seal_entry, self.keys), ServeConfig(**config), clock=lambda: self.now
        )
        self.app = api.application(self.gateway, Access(home, self.keys))

    def client(self, app=None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app or self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60)

    def entries(self) -> Sequence[JournalEntry]:
        """What waits for the journal, opened."""
        return [open_entry(self.keys, p.sealed) for p in self.outbox.peek()]


@pytest.fixture
def place(home):
    """Makes places on the temporary home."""
    made = []

    def make(*says: str | Exception, demo: bool = False, pause_s: float = 0.0, **config) -> Place:
        engine = Scripted(*(says or ("That sounds hard. What was the worst moment?",)), demo=demo, pause_s=pause_s)
        made.append(Place(home, engine, **config))
        return made[-1]

    yield make
    for one in made:
        one.outbox.close()


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of two layers with a byte tokenizer, as a merged model's directory."""
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def engine(model_dir: Path):
    """The transformers engine on it."""
    found = TransformersEngine(model_dir, threads=1)
    yield found
    found.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
