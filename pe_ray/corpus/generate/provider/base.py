"""What every provider of text gives, and how it says that it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pe_ray.record import Message

Finish = Literal["stop", "length", "refusal"]


@dataclass(frozen=True)
class Completion:
    """One reply. Token counts are None where the provider does not tell them."""

    text: str = field(repr=False)
    prompt_tokens: int | None
    completion_tokens: int | None
    finish: Finish = "stop"


class Provider(Protocol):
    """Whoever answers a list of messages."""

    async def complete(self, messages: Sequence[Message], max_tokens: int, temperature: float, seed: int) -> Completion:
        """One reply; raises ProviderFault."""

    async def close(self) -> None:
        """Let go of connections."""


class ProviderFault(Exception):
    """A request without a usable reply. `fatal`: no request will fare better; `charged`: it may have cost money."""

    def __init__(
        self, reason: str, *, retry_after_s: float | None = None, fatal: bool = False, charged: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.fatal = fatal
        self.charged = charged
