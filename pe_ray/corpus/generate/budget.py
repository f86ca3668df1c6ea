"""Not dearer than the cap: a request is sent only if its worst case still fits.

The worst case of a prompt is a token a byte, which no tokenizer of bytes exceeds, and of a reply `max_tokens`. What a
request did cost replaces its worst case when its usage is known; until then, and for ever if the process is killed in
between, the worst case counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pe_ray.config.generate import Price
from pe_ray.record import Message

PER_MESSAGE_TOKENS = 16
"""What chat templates put around a message, generously."""
MILLION = 1_000_000
ROUNDING_USD = 1e-9


def most_prompt_tokens(messages: Sequence[Message]) -> int:
    """No fewer than the tokens of a prompt."""
    return sum(len(m.text.encode()) + PER_MESSAGE_TOKENS for m in messages)


def likely_prompt_tokens(messages: Sequence[Message]) -> int:
    """About the tokens of an English prompt: four characters each."""
    return sum(len(m.text) // 4 + PER_MESSAGE_TOKENS for m in messages)


def cost_usd(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """Dollars."""
    return (prompt_tokens * price.input + completion_tokens * price.output) / MILLION


class Budget:
    """What has been spent, what is reserved for requests under way, and the cap."""

    def __init__(self, cap_usd: float, spent_usd: float) -> None:
        self.cap_usd = cap_usd
        self.spent_usd = spent_usd
        self._reserved_usd = 0.0
        self._under_way = 0
        self._changed = asyncio.Condition()

    async def reserve(self, worst_usd: float) -> bool:
        """Set money aside; waits for requests under way where it does not fit, and is False if it never will."""
        async with self._changed:
            while not self._fits(worst_usd):
                if not self._under_way:
                    return False
                await self._changed.wait()
            self._reserved_usd += worst_usd
            self._under_way += 1
            return True

    async def settle(self, worst_usd: float, real_usd: float) -> None:
        """Replace a reservation by what it came to."""
        async with self._changed:
            self._under_way -= 1
            self._reserved_usd = self._reserved_usd - worst_usd if self._under_way else 0.0
            self.spent_usd += real_usd
            self._changed.notify_all()

    def _fits(self, worst_usd: float) -> bool:
        return worst_usd == 0 or self.spent_usd + self._reserved_usd + worst_usd <= self.cap_usd + ROUNDING_USD
