"""HTTP for a gateway: a FastAPI application that runs under Serve, under uvicorn, or under a test.

POST /api/v1/inference   POST /v1/chat/completions   GET /health   GET /metrics   POST /cache/clear
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST

from pe_ray.errors import PeRayError
from pe_ray.monitor import metrics
from pe_ray.security import problems
from pe_ray.security.access import Access
from pe_ray.security.api_keys import Principal
from pe_ray.security.body_guard import Limits, problem, where
from pe_ray.serve.engine.base import EngineBusy, EngineFailed, PromptTooLong
from pe_ray.serve.gateway import EngineTimeout, Gateway, InputTooLong, JournalUnavailable
from pe_ray.serve.schemas import ChatRequest, InferenceReply, InferenceRequest

LOG = logging.getLogger("pe_ray.http")

ANSWERS: dict[type[PeRayError], tuple[int, str]] = {
    InputTooLong: (413, "the message is longer than this service reads"),
    PromptTooLong: (413, "the message is longer than the model can read"),
    EngineBusy: (503, "too many requests wait; try again in a moment"),
    EngineFailed: (503, "the model cannot answer at the moment"),
    EngineTimeout: (504, "the model took too long"),
    JournalUnavailable: (503, "the entry could not be kept; nothing was journalled"),
}
"""Status and title by kind of failure; the errors' own messages stay inside."""
RETRY = {"retry-after": "1"}
PRIVATE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
Health = Callable[[], Awaitable[dict[str, str]]]


def application(
    gateway: Gateway, access: Access, *, more_health: Health | None = None, lifespan: Any = None
) -> FastAPI:
    """The application of one gateway; `more_health` adds components that it does not know itself."""
    app = FastAPI(title="pe_ray", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    problems.install(app, Limits(max_bytes=2**20))
    for kind in ANSWERS:
        app.add_exception_handler(kind, _on_failure)
    routes = APIRouter(dependencies=[Depends(_private)])
    _inference(routes, gateway, access)
    _chat(routes, gateway, access)
    _operations(routes, gateway, access, more_health)
    app.include_router(routes)
    return app


def _inference(routes: APIRouter, gateway: Gateway, access: Access) -> None:
    @routes.post("/api/v1/inference")
    async def inference(request: Request, asked: InferenceRequest) -> InferenceReply:
        access.require(_who(access, request), "inference", asked.client_id)
        return await _timed("inference", gateway.infer(asked))


def _chat(routes: APIRouter, gateway: Gateway, access: Access) -> None:
    @routes.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request, asked: ChatRequest) -> dict[str, Any] | Response:
        access.require(_who(access, request), "inference", asked.user)
        if not asked.stream:
            reply = await _timed("chat", gateway.infer(asked.as_inference()))
            return _completion(reply)
        pieces = _server_events(gateway, asked)
        first = await anext(pieces)  # what fails before the first piece is still an ordinary problem document
        return StreamingResponse(_chain(first, pieces), headers=PRIVATE, media_type="text/event-stream")


def _operations(routes: APIRouter, gateway: Gateway, access: Access, more: Health | None) -> None:
    @routes.get("/health")
    async def health() -> Response:
        components = await gateway.health() | (await more() if more else {})
        needed = [components[name] for name in ("engine", "outbox", "triage")]
        failed = any(state != "ok" for state in needed)
        status = "failed" if failed else "ok" if set(components.values()) == {"ok"} else "degraded"
        return JSONResponse({"status": status, "components": components}, 503 if failed else 200, PRIVATE)

    @routes.get("/metrics")
    def scrape(request: Request) -> Response:
        _who(access, request)
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    @routes.post("/cache/clear")
    async def clear(request: Request) -> dict[str, int]:
        access.require(_who(access, request), "cache.clear")
        return {"cleared": gateway.cache.clear()}


# --- OpenAI's shape -------------------------------------------------------------------------------------------------


def _completion(reply: InferenceReply) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.response},
        "finish_reason": reply.metadata["finish_reason"],
    }
    return {
        "id": f"chatcmpl-{reply.response_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": reply.metadata["model"],
        "choices": [choice],
        "usage": _usage(reply),
        **_beside(reply),
    }


async def _server_events(gateway: Gateway, asked: ChatRequest) -> AsyncIterator[str]:
    """The chunks of a streamed reply; the entry is on disk before `[DONE]`, and a failure is an event of its own."""
    chunk: dict[str, Any] = {"object": "chat.completion.chunk", "created": int(time.time())}
    started, begun = time.monotonic(), False
    try:
        async with aclosing(gateway.stream(asked.as_inference())) as pieces:
            async for piece in pieces:
                chunk |= {"id": f"chatcmpl-{piece.response_id}", "model": piece.model}
                if piece.reply is None:
                    delta = {"content": piece.text} if begun else {"role": "assistant", "content": piece.text}
                    begun = True
                    yield _event(chunk, delta, None)
                else:
                    yield _event(chunk, {}, piece.reply.metadata["finish_reason"], **_beside(piece.reply))
                    if asked.stream_options and asked.stream_options.include_usage:
                        yield _data({**chunk, "choices": [], "usage": _usage(piece.reply)})
        _count("chat_stream", "ok", started)
        yield "data: [DONE]\n\n"
    except Exception as error:
        _count("chat_stream", type(error).__name__, started)
        if not begun:
            raise
        LOG.error("stream broke: %s at %s", type(error).__name__, where(error))
        status, title = _answer(error)
        yield f"event: error\n{_data({'error': {'type': 'about:blank', 'title': title, 'status': status}})}"


def _event(chunk: dict[str, Any], delta: dict[str, str], finish: str | None, **more: Any) -> str:
    return _data({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"


def _usage(reply: InferenceReply) -> dict[str, int]:
    prompt, new = reply.metadata["prompt_tokens"], reply.tokens_generated
    return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}


def _beside(reply: InferenceReply) -> dict[str, Any]:
    return {"response_id": reply.response_id, "safety": reply.safety.model_dump(), "metadata": reply.metadata}


# --- helpers --------------------------------------------------------------------------------------------------------


async def _timed(route: str, answer: Awaitable[InferenceReply]) -> InferenceReply:
    started = time.monotonic()
    try:
        reply = await answer
    except Exception as error:
        _count(route, type(error).__name__, started)
        raise
    _count(route, "ok", started)
    return reply


def _count(route: str, outcome: str, started: float) -> None:
    metrics.REQUESTS.labels(route, outcome).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(time.monotonic() - started)


async def _chain(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece


def _who(access: Access, request: Request) -> Principal:
    headers, peer = request.headers, request.client
    return access.identify(headers.get("authorization"), peer.host if peer else None, headers.get("host"))


def _private(response: Response) -> None:
    response.headers.update(PRIVATE)


def _answer(error: Exception) -> tuple[int, str]:
    return next((ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS), (500, "Internal Server Error"))


async def _on_failure(_: Request, error: Exception) -> Response:
    status, title = _answer(error)
    LOG.warning("%s at %s", type(error).__name__, where(error))
    return problem(status, title, headers=RETRY if status == 503 else None)
