"""The cap is never passed: not by a request, not by many at a time."""

from __future__ import annotations

import asyncio

from pe_ray.config.generate import Price
from pe_ray.corpus.generate.budget import Budget, cost_usd, likely_prompt_tokens, most_prompt_tokens
from pe_ray.record import Message


def test_a_request_that_does_not_fit_is_not_sent() -> None:
    async def go() -> tuple[bool, bool, float]:
        budget = Budget(1.0, spent_usd=0.5)
        fits = await budget.reserve(0.5)
        await budget.settle(0.5, 0.5)
        return fits, await budget.reserve(0.001), budget.spent_usd

    assert asyncio.run(go()) == (True, False, 1.0)


def test_who_does_not_fit_now_waits_for_what_is_under_way() -> None:
    async def go() -> list[str]:
        budget, order = Budget(1.0, 0.0), []

        async def first() -> None:
            assert await budget.reserve(0.9)
            await asyncio.sleep(0)
            order.append("first settles")
            await budget.settle(0.9, 0.1)

        async def second() -> None:
            assert await budget.reserve(0.8)
            order.append("second begins")
            await budget.settle(0.8, 0.8)

        await asyncio.gather(first(), second())
        return order

    assert asyncio.run(go()) == ["first settles", "second begins"]


def test_many_at_a_time_never_pass_the_cap() -> None:
    async def go() -> tuple[float, float]:
        budget, most = Budget(1.0, 0.0), 0.0

        async def one() -> None:
            nonlocal most
            if await budget.reserve(0.07):
                most = max(most, budget.spent_usd + budget._reserved_usd)
                await asyncio.sleep(0)
                await budget.settle(0.07, 0.05)

        await asyncio.gather(*(one() for _ in range(100)))
        return most, budget.spent_usd

    most, spent = asyncio.run(go())
    assert most <= 1.0 + 1e-9
    assert 0.93 < spent <= 1.0


def test_what_costs_nothing_always_fits() -> None:
    assert asyncio.run(Budget(0.0, 0.0).reserve(0.0))


def test_the_worst_case_of_a_prompt_is_a_token_a_byte() -> None:
    messages = [Message("user", "é" * 100)]
    assert most_prompt_tokens(messages) >= 200 > likely_prompt_tokens(messages)
    assert cost_usd(Price(input=2, output=10), 500_000, 100_000) == 2.0
