"""What an engine is: it turns a conversation into tokens and says what it is.

async for event in engine.generate(request):
    print(event.text)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pe_ray.errors import PeRayError
from pe_ray.record import Message

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class GenerateRequest:
    """A conversation to be continued. Its `repr` holds no words: Ray prints arguments when a call fails."""

    messages: tuple[Message, ...] = field(repr=False)
    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class TokenEvent:
    """The next piece of a reply; the last one has `finish`."""

    text: str = field(repr=False)
    tokens: int = 1
    finish: Finish | None = None
    prompt_tokens: int = 0


@dataclass(frozen=True)
class Completion:
    """A whole reply."""

    text: str = field(repr=False)
    tokens: int
    finish: Finish
    prompt_tokens: int = 0


@dataclass(frozen=True)
class EngineInfo:
    """What an engine serves."""

    model: str
    """`name@version`, or the digest of a directory that has neither; part of every cache key."""
    form: str
    """merged or adapter."""
    demo_base: bool = False
    """The base was trained here in a minute: it shows the machinery and cannot counsel anybody."""


class EngineBusy(PeRayError):
    """More waits than the engine takes; ask again later."""


class EngineFailed(PeRayError):
    """The engine could not answer; the request may be tried once more."""


class PromptTooLong(PeRayError):
    """The last message alone does not fit into the model's context."""


class Engine(Protocol):
    """Something that continues conversations."""

    async def info(self) -> EngineInfo:
        """What it serves."""
        ...

    async def health(self) -> bool:
        """Whether it can answer."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        """The reply as it comes. Raises EngineBusy, EngineFailed or PromptTooLong."""
        ...

    async def complete(self, request: GenerateRequest) -> Completion:
        """The whole reply at once: the same tokens in one hop."""
        ...


async def gather(events: AsyncIterator[TokenEvent]) -> Completion:
    """A completion from its events."""
    text, tokens, finish, prompt = [], 0, "length", 0
    async for event in events:
        text.append(event.text)
        tokens += event.tokens
        finish, prompt = event.finish or finish, max(prompt, event.prompt_tokens)
    return Completion("".join(text), tokens, "stop" if finish == "stop" else "length", prompt)
