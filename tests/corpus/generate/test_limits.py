"""Rates hold over any minute, whoever asks first is served first, and a pause holds for all."""

from __future__ import annotations

import asyncio

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate.limits import Bucket, Limits
from tests.corpus.generate.clocks import Jumping


def starts(config: GenerateConfig, requests: int, tokens: int, used: int) -> list[float]:
    """When each of so many requests, one after the other, may begin."""
    clock, found = Jumping(), []

    async def go() -> None:
        limits = Limits(config, clock, clock.sleep)
        for _ in range(requests):
            await limits.admit(tokens)
            found.append(clock.now())
            limits.settle(tokens, used)

    asyncio.run(go())
    return found


def most_in_a_minute(times: list[float]) -> int:
    return max(sum(t <= other < t + 60 for other in times) for t in times)


def test_no_more_requests_in_a_minute_than_allowed_but_for_a_second_of_credit() -> None:
    times = starts(GenerateConfig(requests_per_minute=120), 400, 1, 1)
    assert most_in_a_minute(times) <= 122
    assert 190 <= times[-1] <= 200


def test_tokens_that_were_not_used_are_given_back() -> None:
    config = GenerateConfig(tokens_per_minute=6000)
    wasteful, honest = starts(config, 60, 1000, 1000), starts(config, 60, 1000, 100)
    assert 580 <= wasteful[-1] <= 600
    assert 50 <= honest[-1] <= 70


def test_a_request_larger_than_a_minute_s_tokens_waits_instead_of_never_leaving() -> None:
    assert starts(GenerateConfig(tokens_per_minute=100), 2, 1000, 1000)[-1] >= 590


def test_without_limits_nobody_waits() -> None:
    assert starts(GenerateConfig(), 50, 10**6, 0)[-1] == 0


def test_a_bucket_that_was_idle_does_not_save_up() -> None:
    clock = Jumping()
    bucket = Bucket(60, clock)
    clock.seconds = 3600
    assert [bucket.take(1) for _ in range(3)] == [0, 0, 1]


def test_a_pause_holds_for_everybody_also_when_it_grows() -> None:
    clock = Jumping()

    async def go() -> None:
        limits = Limits(GenerateConfig(), clock, clock.sleep)
        limits.hush(30)
        limits.hush(10)
        await asyncio.gather(*(limits.admit(1) for _ in range(5)))

    asyncio.run(go())
    assert clock.now() >= 30
