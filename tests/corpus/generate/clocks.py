"""A clock that jumps: sleeping costs no time."""

from __future__ import annotations

import asyncio


class Jumping:
    """Seconds pass when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since it was made."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Jump."""
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)
