"""The gateway: everything that happens to a message between the client and the model, in an order that is fixed.

    triage -> [danger: safe reply, no model] -> cache -> one hop to the engine -> output filter -> cache
           -> outbox on disk -> reply

Plain Python: the engine, the cache and the outbox are handed in, so the order can be tested without a cluster. No text
leaves that was not judged; a reply that says it is journalled is on disk before it leaves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ulid import ULID

from pe_ray.config import ServeConfig
from pe_ray.errors import PeRayError
from pe_ray.monitor import metrics
from pe_ray.record import JournalEntry, Message
from pe_ray.safety import larger, output, replies, triage
from pe_ray.security.body_guard import where
from pe_ray.serve import cache as caching
from pe_ray.serve.cache import CachedReply, ResponseCache
from pe_ray.serve.case import TRIAGE_FAILED, Action, Case, Piece, Words, journal_entry, safety
from pe_ray.serve.engine.base import Completion, Engine, EngineFailed, EngineInfo, GenerateRequest, TokenEvent
from pe_ray.serve.schemas import InferenceReply, InferenceRequest
from pe_ray.serve.sessions import Sessions
from pe_ray.serve.windows import Windows
from pe_ray.store.outbox import ORDINARY, URGENT, Outbox

LOG = logging.getLogger("pe_ray.gateway")
PROMPT_FORM = "plain@1"
"""Version of how a request becomes a prompt; part of every cache key."""
RETRY_TEMPERATURE = 0.7

Seal = Callable[[JournalEntry], bytes]


class InputTooLong(PeRayError):
    """A message longer than `serve.max_input_chars`."""


class JournalUnavailable(PeRayError):
    """The outbox could not keep the entry: nothing was acknowledged."""


class EngineTimeout(PeRayError):
    """The engine took longer than `serve.timeout_s`."""


class Gateway:
    """Answers requests with one engine."""

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox,
        seal: Seal,
        config: ServeConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine, self.outbox, self.config = engine, outbox, config
        self.cache = ResponseCache(config.cache_entries, config.cache_ttl_s, clock)
        self._seal, self._clock, self._sessions = seal, clock, Sessions(clock)
        self._info: EngineInfo | None = None
        self._waits = larger.present()

    async def infer(self, request: InferenceRequest) -> InferenceReply:
        """The answer to one request, journalled where that was asked or is needed.

        Raises InputTooLong, EngineBusy, EngineFailed, EngineTimeout, PromptTooLong or JournalUnavailable.
        """
        case = await self._open(request)
        words = self._ready(case) or await self._spoken(case)
        return await self._close(case, words)

    async def stream(self, request: InferenceRequest) -> AsyncGenerator[Piece, None]:
        """The same answer in judged pieces. Errors are raised before the first piece or end the stream.

        Where more is decided than by the words themselves (danger, the cache), the reply comes in one piece.
        """
        case = await self._open(request)
        piece = partial(Piece, response_id=case.response_id, model=case.info.model)
        words = self._ready(case)
        if words is None and case.found.level >= 2:
            words = await self._spoken(case)
        if words is not None:
            reply = await self._close(case, words)
            yield piece(reply.response)
            yield piece("", reply=reply)
            return
        windows = Windows(lambda text: self._judge(case, text))
        async for text in self._streamed(case, windows):
            yield piece(text)
        rest, words = await self._end_of_stream(case, windows)
        reply = await self._close(case, words)
        if rest:
            yield piece(rest)
        yield piece("", reply=reply)

    async def health(self) -> dict[str, str]:
        """The state of each component: ok, or what is wrong."""
        try:
            engine = "ok" if await asyncio.wait_for(self.engine.health(), 5) else "failed"
        except Exception as error:  # noqa: BLE001 (health says what is wrong, whatever it is)
            engine = f"failed: {type(error).__name__}"
        try:
            waiting, age = len(self.outbox), self.outbox.oldest_s()
        except Exception as error:  # noqa: BLE001
            return {"engine": engine, "triage": "ok", "outbox": f"failed: {type(error).__name__}"}
        metrics.OUTBOX.set(waiting)
        metrics.OUTBOX_AGE.set(age)
        return {"engine": engine, "triage": "ok", "outbox": "ok"}

    # --- before the model ---------------------------------------------------------------------------------------

    async def _open(self, request: InferenceRequest) -> Case:
        texts = [request.user_input, request.system_prompt or "", *(m.text for m in request.earlier)]
        longest = max(len(t) for t in texts)
        if longest > self.config.max_input_chars:
            raise InputTooLong(f"a text has {longest} characters; at most {self.config.max_input_chars} are read")
        started = self._clock()
        # a larger judge may be a network away: the others' requests must not wait for it
        found = await asyncio.to_thread(self._triage, request) if self._waits else self._triage(request)
        info = await self._engine_info(found)
        return Case(request, found, info, request.locale or self.config.locale, str(ULID()), started)

    def _triage(self, request: InferenceRequest) -> triage.Assessment:
        """What the message and its conversation show. A failure is danger: nothing un-triaged is ever answered."""
        began = time.perf_counter()
        said = [m.text for m in request.earlier if m.role == "user"]
        asked = next((m.text for m in reversed(request.earlier) if m.role == "assistant"), "")
        try:
            before = self._sessions.recall(request)
            found = triage.assess(request.user_input, history=said, asked=asked, before=before)
            self._sessions.remember(request, found.state)
        except Exception as error:  # noqa: BLE001 (whatever fails here, the person gets the safe reply)
            LOG.error("triage failed: %s at %s", type(error).__name__, where(error))
            found = TRIAGE_FAILED
        metrics.TRIAGE_SECONDS.observe(time.perf_counter() - began)
        metrics.TRIAGE.labels(str(found.level)).inc()
        return found

    async def _engine_info(self, found: triage.Assessment) -> EngineInfo:
        """What the engine serves; in danger an engine that is away must not stand between a person and the reply."""
        if self._info is None:
            try:
                self._info = await asyncio.wait_for(self.engine.info(), self.config.timeout_s)
            except Exception as error:
                if found.level < 2:
                    raise EngineFailed("the engine cannot be reached") from error
                return EngineInfo("none", "none", demo_base=True)
        return self._info

    def _ready(self, case: Case) -> Words | None:
        """What can be said without the engine: the safe reply, or one from the cache."""
        return self._safe_words(case) if case.safe else self._cached(case)

    def _safe_words(self, case: Case) -> Words:
        if case.untriaged:
            return Words(replies.failure_reply(case.locale), "safe_reply", case.found.rules)
        return Words(replies.safe_reply(case.found, case.locale), "safe_reply", case.found.rules)

    # --- the model's words --------------------------------------------------------------------------------------

    async def _spoken(self, case: Case) -> Words:
        """The model's words, and at level 2 what must stand around them."""
        words = self._keep(case, await self._generated(case))
        if words.action == "blocked" or case.found.level < 2:
            return words
        return replace(words, text=replies.around(words.text, case.found, case.locale))

    def _cached(self, case: Case) -> Words | None:
        if not self._cacheable(case):
            return None
        key = self._key(case)
        hit = self.cache.get(key)
        if hit is not None and self._judge(case, hit.text).blocked:  # the rules may have changed since
            self.cache.drop(key)
            hit = None
        metrics.CACHE.labels("miss" if hit is None else "hit").inc()
        return None if hit is None else self._words(case, hit.text, hit.tokens, cache_hit=True)

    def _keep(self, case: Case, words: Words) -> Words:
        """Put a reply into the cache if it may be given to the next who asks the same."""
        if self._cacheable(case) and words.action == "none" and not words.rules:
            self.cache.put(self._key(case), CachedReply(words.text, words.tokens))
        return words

    async def _generated(self, case: Case) -> Words:
        """Ask the engine; a blocked reply is generated once more, then replaced by fixed words."""
        first = await self._ask(case, self._prompt(case))
        judged = self._judge(case, first.text)
        if not judged.blocked:
            return self._words(case, first.text, first.tokens, finish=first.finish, prompt_tokens=first.prompt_tokens)
        again = await self._ask(case, replace(self._prompt(case), temperature=RETRY_TEMPERATURE, seed=1))
        tokens = first.tokens + again.tokens
        if not self._judge(case, again.text).blocked:
            rules = (*case.found.rules, *judged.rules)
            action: Action = "resources" if case.found.level else "none"
            return Words(again.text, action, rules, tokens, finish=again.finish, prompt_tokens=first.prompt_tokens)
        return self._replaced(case, judged.rules, tokens)

    def _replaced(self, case: Case, rules: tuple[str, ...], tokens: int) -> Words:
        for rule in rules:
            metrics.BLOCKED.labels(rule).inc()
        text = replies.safe_reply(case.found, case.locale) if case.found.level >= 2 else replies.blocked_reply()
        return Words(text, "blocked", (*case.found.rules, *rules), tokens, finish="content_filter")

    async def _ask(self, case: Case, prompt: GenerateRequest) -> Completion:
        """One hop to the engine; a failure is tried once more (an answer was not begun, so nothing is said twice)."""
        for attempt in (1, 2):
            try:
                return await asyncio.wait_for(self.engine.complete(prompt), self.config.timeout_s)
            except TimeoutError:
                raise EngineTimeout(f"no answer within {self.config.timeout_s:g} s") from None
            except EngineFailed:
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def _streamed(self, case: Case, windows: Windows) -> AsyncGenerator[str, None]:
        """Pieces as they pass the filter; an engine that fails before the first token is asked once more."""
        for attempt in (1, 2):
            try:
                async for event in self._events(self._prompt(case)):
                    windows.add(event)
                    text = windows.release()
                    if windows.blocked:
                        return
                    if text:
                        yield text
                return
            except EngineFailed:
                if attempt == 2 or windows.tokens:
                    raise

    async def _events(self, prompt: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        events = self.engine.generate(prompt)
        try:
            while True:
                yield await asyncio.wait_for(anext(events), self.config.timeout_s)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise EngineTimeout(f"no token within {self.config.timeout_s:g} s") from None
        finally:
            await events.aclose()

    async def _end_of_stream(self, case: Case, windows: Windows) -> tuple[str, Words]:
        """What is still to be said once the engine has ended, or the filter has."""
        rest = windows.rest()
        if not windows.blocked:
            words = self._words(
                case, windows.text, windows.tokens, finish=windows.finish, prompt_tokens=windows.prompt_tokens
            )
            return rest, self._keep(case, words)
        if not windows.released:  # nothing was said yet: as good as a reply in one piece
            words = await self._generated(case)
            return words.text, words
        words = self._replaced(case, windows.rules, windows.tokens)
        return f"\n\n{words.text}", replace(words, text=f"{windows.released}\n\n{words.text}")

    def _prompt(self, case: Case) -> GenerateRequest:
        request = case.request
        system = (Message("system", request.system_prompt),) if request.system_prompt else ()
        return GenerateRequest(
            messages=(*system, *request.earlier, Message("user", request.user_input)),
            max_new_tokens=min(request.max_new_tokens or self.config.max_new_tokens, 8192),
            temperature=self._temperature(request),
            seed=ULID.from_str(case.response_id).milliseconds,
        )

    def _temperature(self, request: InferenceRequest) -> float:
        return self.config.temperature if request.temperature is None else request.temperature

    def _judge(self, case: Case, text: str) -> output.OutputJudgement:
        if not text.strip():
            return output.OutputJudgement("blocked", ("output.empty@1",))
        private = [case.request.system_prompt] if case.request.system_prompt else []
        return output.judge(text, level=case.found.level, private=private)

    def _words(self, case: Case, text: str, tokens: int, **more: Any) -> Words:
        action: Action = "resources" if case.found.level else "none"
        return Words(text.strip(), action, case.found.rules, tokens, **more)

    def _cacheable(self, case: Case) -> bool:
        return case.request.use_cache and case.found.level == 0 and self._temperature(case.request) == 0

    def _key(self, case: Case) -> str:
        prompt = self._prompt(case)
        return caching.key(
            model=case.info.model,
            versions=(PROMPT_FORM, triage.version(), output.version()),
            max_new_tokens=prompt.max_new_tokens,
            messages=prompt.messages,
            client=(case.request.client_id or "") if case.request.conversation_history else None,
        )

    # --- after the model ----------------------------------------------------------------------------------------

    async def _close(self, case: Case, words: Words) -> InferenceReply:
        """Keep what must be kept, then answer."""
        metrics.TOKENS.inc(0 if words.cache_hit else words.tokens)
        journalled = await self._journal(case, words)
        return InferenceReply(
            response=words.text,
            response_id=case.response_id,
            latency=round(self._clock() - case.started, 6),
            cache_hit=words.cache_hit,
            tokens_generated=0 if words.cache_hit else words.tokens,
            safety=safety(case, words),
            metadata={
                "model": case.info.model,
                "form": case.info.form,
                "demo_base": case.info.demo_base,
                "journalled": journalled,
                "finish_reason": words.finish,
                "prompt_tokens": words.prompt_tokens,
            },
        )

    async def _journal(self, case: Case, words: Words) -> bool:
        """Put what must be remembered on disk; whether there was anything and it is there.

        In danger the reply leaves even if the disk refuses, and says that it was not journalled; otherwise a refused
        entry is an error, because the client asked for it.
        """
        crisis = case.grave
        if not (crisis or case.request.track_progress):
            return False
        try:
            entry = journal_entry(case, words)
            lane = URGENT if crisis else ORDINARY
            await asyncio.to_thread(self.outbox.put, entry.id, self._seal(entry), lane)
        except Exception as error:  # noqa: BLE001 (a full disk, a lost lock: nothing was kept)
            LOG.error("outbox refused an entry: %s at %s", type(error).__name__, where(error))
            if crisis:
                return False
            raise JournalUnavailable("the entry could not be kept; nothing was journalled") from None
        return True
