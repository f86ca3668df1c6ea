"""From a list of scenarios to finished ones on disk: many at a time, within the limits, and stopped in good order.

A scenario is asked for until an answer can be used, `attempts` times at most; a text that was written before is asked
for again with another specification. Whatever ends a scenario, a row or a reason, is on disk before it counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate.answer import Unusable
from pe_ray.corpus.generate.budget import Budget, cost_usd, most_prompt_tokens
from pe_ray.corpus.generate.clock import Clock, WallClock
from pe_ray.corpus.generate.limits import Limits
from pe_ray.corpus.generate.log import Log, State, row_at
from pe_ray.corpus.generate.provider import Completion, Provider, ProviderFault
from pe_ray.corpus.generate.repeats import Repeats
from pe_ray.corpus.generate.scenario import Scenario, Specification
from pe_ray.corpus.generate.screen import Screened
from pe_ray.corpus.generate.task import Task
from pe_ray.errors import GateNotMet, PeRayError, UserError
from pe_ray.record import Message, digest

REPEAT = "says what another scenario says"
SAY_EVERY_S = 5.0
MAX_SEED = 2**31


class _Stopped(Exception):
    """The run is to end; what was under way is left for the next start."""


class _Failed(Exception):
    def __init__(self, reason: str, again: bool) -> None:
        super().__init__(reason)
        self.reason, self.again = reason, again


class Engine:
    """One start of a run."""

    def __init__(
        self,
        task: Task,
        config: GenerateConfig,
        provider: Provider,
        log: Log,
        say: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._task, self._config, self._provider, self._log, self._say = task, config, provider, log, say
        self._clock = clock or WallClock()
        self.state = log.state()
        self.retries: Counter[str] = Counter()
        self.resumed = len(self.state.done)
        self._repeats = Repeats()
        self._budget = Budget(config.cost_cap_usd, self.state.spent_usd)
        self._limits = Limits(config, self._clock, self._wait)
        self._stopping = asyncio.Event()
        self._why: PeRayError | None = None
        self._in_a_row = 0
        self._requests = 0
        self._said_at = self._clock.now()

    async def run(self) -> State:
        """Write every scenario that is not written yet.

        Raises GateNotMet at the cost cap, PeRayError after too many failures in a row, and UserError for a provider
        that refuses every request; what was finished is kept.
        """
        self._remember()
        await self._work(s for s in self._task.scenarios if self._open(s))
        await self._work(s for s in self._task.scenarios if s.id in self.state.again)  # the provider may be back
        return self.state

    def _open(self, scenario: Scenario) -> bool:
        """Not written, and not failed for good."""
        id_ = scenario.id
        return id_ not in self.state.done and (id_ not in self.state.failed or id_ in self.state.again)

    def _remember(self) -> None:
        for shard, offset in self.state.done.values():
            self._repeats.remember(row_at(shard, offset)["said"])

    async def _work(self, scenarios: Iterable[Scenario]) -> None:
        waiting = deque(scenarios)

        async def worker() -> None:
            while waiting and not self._stopping.is_set():
                try:
                    await self._one(waiting.popleft())
                except _Stopped:
                    return
                except PeRayError as error:
                    self._stop(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._config.in_flight, len(waiting))):
                group.create_task(worker())
        if self._why is not None:
            raise self._why

    async def _one(self, scenario: Scenario) -> None:
        try:
            screened = await self._fill(scenario)
        except _Failed as failed:
            line = {"failed": scenario.id, "reason": failed.reason, "again": failed.again}
            await self._log.append(line)
            self.state.take(line, self._log.shard, 0, {})
            self._in_a_row += 1
            if self._in_a_row >= self._config.stop_after_failures:
                raise PeRayError(
                    f"{self._in_a_row} scenarios failed in a row, the last one because {failed.reason}; "
                    f"{self._progress()}; mend that and run the same again to go on"
                ) from None
            return
        line = {"done": scenario.id, "said": screened.said, "review": screened.review, "row": screened.row}
        (offset,) = await self._log.append(line)
        self.state.take(line, self._log.shard, offset, {})
        self._in_a_row = 0
        self._tell()

    async def _fill(self, scenario: Scenario) -> Screened:
        """An answer that says nothing twice; raises _Failed."""
        for specification in scenario.specifications:
            screened = await self._usable(scenario, specification)
            if not self._repeats.knows(screened.said):
                self._repeats.remember(screened.said)
                return screened
            self.retries["repeat"] += 1
        raise _Failed(REPEAT, again=False)

    async def _usable(self, scenario: Scenario, wanted: Specification) -> Screened:
        """An answer to this specification that can be used; raises _Failed."""
        fault, again = "", False
        for attempt in range(self._config.attempts):
            if attempt:
                self.retries["unreached" if again else "unusable"] += 1
            seed = int(digest(wanted.id, str(attempt))[:8], 16) % MAX_SEED
            messages = self._task.ask(wanted, "" if again else fault)
            try:
                completion = await self._request(messages, seed)
                return self._judged(scenario, wanted, completion)
            except Unusable as unusable:
                fault, again = str(unusable), False
            except ProviderFault as error:
                if error.fatal:
                    raise UserError(
                        f"generate.provider={self._config.provider} at {self._config.url}: {error.reason}; check the "
                        f"address, the model and the key; {self._progress()}"
                    ) from None
                fault, again = error.reason, True
                if attempt + 1 < self._config.attempts:
                    await self._back_off(wanted, attempt, error)
        raise _Failed(fault, again)

    def _judged(self, scenario: Scenario, wanted: Specification, completion: Completion) -> Screened:
        if completion.finish == "length":
            raise Unusable("the answer was cut off at its longest; be shorter")
        if completion.finish == "refusal":
            raise Unusable("the answer is a refusal")
        return self._task.judge(scenario.id, wanted, completion.text)

    async def _request(self, messages: tuple[Message, ...], seed: int) -> Completion:
        """One request within budget and limits, with its cost written down before and after; raises ProviderFault."""
        if self._stopping.is_set():
            raise _Stopped
        most = most_prompt_tokens(messages)
        worst = cost_usd(self._config.price, most, self._config.max_tokens)
        if not await self._budget.reserve(worst):
            raise GateNotMet(
                f"generate.cost_cap_usd={self._config.cost_cap_usd:g}: {self._budget.spent_usd:.4f} spent, and the "
                f"next request could cost {worst:.4f}; {self._progress()}; raise the cap and run the same again to "
                "go on"
            )
        real, tokens = 0.0, 0
        try:
            await self._limits.admit(most + self._config.max_tokens)
            self._requests += 1
            name = f"{self._log.number}-{self._requests}"
            if worst:
                await self._log.append({"sent": name, "usd": worst})
            cost: dict[str, Any] = {"cost": name, "prompt": 0, "completion": 0, "usd": 0.0, "assumed": False}
            try:
                completion = await self._provider.complete(
                    messages, self._config.max_tokens, self._config.temperature, seed
                )
                cost |= self._cost(completion, most)
                return completion
            except ProviderFault as fault:
                cost |= {"usd": worst, "assumed": True} if fault.charged else {}
                raise
            finally:
                real, tokens = cost["usd"], cost["prompt"] + cost["completion"]
                await self._log.append(cost)
                self.state.take(cost, self._log.shard, 0, {})
        finally:
            self._limits.settle(most + self._config.max_tokens, tokens)
            await self._budget.settle(worst, real)

    def _cost(self, completion: Completion, most: int) -> Mapping[str, Any]:
        """What a reply came to; a count that the provider does not tell is taken at its worst."""
        told = completion.prompt_tokens is not None and completion.completion_tokens is not None
        prompt = most if completion.prompt_tokens is None else completion.prompt_tokens
        reply = self._config.max_tokens if completion.completion_tokens is None else completion.completion_tokens
        usd = cost_usd(self._config.price, prompt, reply)
        return {"prompt": prompt, "completion": reply, "usd": usd, "assumed": not told}

    async def _back_off(self, wanted: Specification, attempt: int, fault: ProviderFault) -> None:
        """Wait longer each time, by a share that differs between scenarios; a provider that asks is given its time."""
        longest = self._config.backoff_max_s
        if fault.retry_after_s is not None:
            self._limits.hush(min(fault.retry_after_s, longest))
        jitter = Random(f"{wanted.id}/{attempt}").uniform(0.5, 1)
        await self._wait(min(self._config.backoff_s * 2**attempt, longest) * jitter)

    async def _wait(self, seconds: float) -> None:
        """Let time pass; raises _Stopped as soon as the run is to end."""
        nap = asyncio.ensure_future(self._clock.sleep(seconds))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({nap, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            stop.cancel()
        if self._stopping.is_set():
            raise _Stopped

    def _stop(self, why: PeRayError) -> None:
        self._why = self._why or why
        self._stopping.set()

    def _progress(self) -> str:
        return f"{len(self.state.done)} of {len(self._task.scenarios)} scenarios are written"

    def _tell(self) -> None:
        now = self._clock.now()
        if now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            self._say(f"generate: {self._progress()}, {len(self.state.failed)} failed, {self.state.spent_usd:.4f} USD")
