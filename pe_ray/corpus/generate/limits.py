"""Not faster than the provider allows: a token bucket for requests, one for tokens, and a pause that holds for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate.clock import Clock

BURST_S = 1.0
"""What a bucket may hold, in seconds of its rate: a provider that counts by the second sees no flood."""


class Bucket:
    """`rate_per_minute` units flow in; whoever takes more than is there is told how long to wait.

    It is kept as the moment at which everything taken so far will have flowed in, so takers are served in order, and
    one that wants more than the bucket holds waits instead of never being served.
    """

    def __init__(self, rate_per_minute: float, clock: Clock) -> None:
        self._per_s = rate_per_minute / 60
        self._clock = clock
        self._paid_until = clock.now() - BURST_S

    def take(self, units: float) -> float:
        """Take units and return the seconds to wait before using them."""
        now = self._clock.now()
        begins = max(self._paid_until, now - BURST_S)
        self._paid_until = begins + units / self._per_s
        return max(0.0, begins - now)

    def give_back(self, units: float) -> None:
        """Return what was taken and not used."""
        self._paid_until -= units / self._per_s


class Limits:
    """The two rates of the settings, and the pause that a `Retry-After` asks for."""

    def __init__(self, config: GenerateConfig, clock: Clock, wait: Callable[[float], Awaitable[None]]) -> None:
        self._clock, self._wait = clock, wait
        per_minute = (config.requests_per_minute, config.tokens_per_minute)
        self._requests, self._tokens = (Bucket(rate, clock) if rate else None for rate in per_minute)
        self._quiet_until = clock.now()

    async def admit(self, tokens: int) -> None:
        """Return when a request of at most so many tokens may begin."""
        waits = [
            self._requests.take(1) if self._requests else 0.0,
            self._tokens.take(tokens) if self._tokens else 0.0,
        ]
        if (seconds := max(waits)) > 0:
            await self._wait(seconds)
        while (seconds := self._quiet_until - self._clock.now()) > 0:
            await self._wait(seconds)

    def settle(self, asked: int, used: int) -> None:
        """Give back the tokens that a request did not use."""
        if self._tokens and asked > used:
            self._tokens.give_back(asked - used)

    def hush(self, seconds: float) -> None:
        """Nobody begins a request before so many seconds have passed."""
        self._quiet_until = max(self._quiet_until, self._clock.now() + seconds)
