"""The gateway's HTTP routes.

    POST /api/v1/inference · POST /v1/chat/completions (stream too) · GET /health · GET /metrics · POST /cache/clear

Errors are problem documents (RFC 9457) that never repeat the input.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from pe_ray.monitor import metrics
from pe_ray.record import Message
from pe_ray.record import Response as Reply
from pe_ray.security import problems
from pe_ray.security.access import Access
from pe_ray.security.api_keys import Principal
from pe_ray.security.body_guard import Limits
from pe_ray.security.problems import Problem
from pe_ray.serve.gateway import Ask, Gateway, Piece
from pe_ray.serve.schemas import ChatRequest, InferenceReply, InferenceRequest, Safety, Turn

LOG = logging.getLogger("pe_ray.gateway")
PRIVATE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
BROKEN = {"error": {"type": "server_error", "message": "the reply broke off"}}
Health = Callable[[], Awaitable[dict[str, str]]]


def application(gateway: Gateway, access: Access, health: Health, lifespan: Any = None) -> FastAPI:
    """The application of one gateway; `health` names each component and its state."""
    app = FastAPI(title="pe_ray gateway", docs_url=None, redoc_url=None, lifespan=lifespan)
    problems.install(app, Limits())
    app.add_exception_handler(ValueError, _too_long)

    def caller(request: Request) -> Principal:
        peer = request.client.host if request.client else None
        return access.identify(request.headers.get("authorization"), peer, request.headers.get("host"))

    _inference(app, gateway, access, caller)
    _chat(app, gateway, access, caller)
    _operations(app, gateway, access, caller, health)
    return app


def _inference(app: FastAPI, gateway: Gateway, access: Access, caller: Callable[..., Principal]) -> None:
    @app.post("/api/v1/inference")
    async def inference(
        request: InferenceRequest, answer: Response, who: Principal = Depends(caller)
    ) -> InferenceReply:
        access.require(who, "inference", request.client_id)
        answer.headers.update(PRIVATE)
        ask = Ask(
            text=request.user_input,
            history=_history(request.conversation_history),
            system=request.system_prompt,
            **request.model_dump(
                include={"client_id", "session_id", "max_new_tokens", "temperature", "use_cache", "track_progress"}
            ),
        )
        if ask.track_progress and ask.client_id is None:
            raise Problem(
                422, "track_progress needs a client_id", errors=[{"loc": ["body", "client_id"], "type": "missing"}]
            )
        reply = await gateway.infer(ask)
        return InferenceReply(
            response=reply.text,
            response_id=reply.id,
            latency=reply.latency_s,
            cache_hit=reply.cached,
            tokens_generated=reply.tokens_generated,
            safety=Safety(**reply.metadata["safety"]),
            metadata={k: v for k, v in reply.metadata.items() if k != "safety"},
        )


def _chat(app: FastAPI, gateway: Gateway, access: Access, caller: Callable[..., Principal]) -> None:
    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: ChatRequest, who: Principal = Depends(caller)) -> Response | dict[str, Any]:
        access.require(who, "inference", request.user)
        ask = _ask_of(request)
        if request.stream:
            pieces = gateway.stream(ask)
            first = await anext(pieces)  # what is refused is refused with a status, before the stream begins
            return StreamingResponse(_events(gateway, first, pieces), media_type="text/event-stream", headers=PRIVATE)
        reply = await gateway.infer(ask)
        return _completion(reply)


def _operations(
    app: FastAPI, gateway: Gateway, access: Access, caller: Callable[..., Principal], health: Health
) -> None:
    @app.get("/health")
    async def state(answer: Response) -> dict[str, Any]:
        components = await health()
        fine = all(v == "ok" for v in components.values())
        answer.status_code = 200 if fine else 503
        return {"status": "ok" if fine else "degraded", "components": components}

    @app.get("/metrics")
    async def exposition() -> Response:
        metrics.OUTBOX.set(len(gateway.outbox))
        metrics.OUTBOX_AGE.set(gateway.outbox.oldest_s())
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    @app.post("/cache/clear")
    async def clear(who: Principal = Depends(caller)) -> dict[str, int]:
        access.require(who, "cache.clear")
        return {"cleared": gateway.cache.clear()}


def _ask_of(request: ChatRequest) -> Ask:
    turns = list(request.messages)
    system = turns.pop(0).content if turns[0].role == "system" else None
    if not turns or turns[-1].role != "user":
        raise Problem(
            422, "the last message must be the user's", errors=[{"loc": ["body", "messages"], "type": "role"}]
        )
    return Ask(
        text=turns[-1].content,
        history=_history(turns[:-1]),
        system=system,
        client_id=request.user,
        max_new_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
    )


def _history(turns: list[Turn]) -> tuple[Message, ...]:
    return tuple(Message(t.role, t.content) for t in turns)


def _completion(reply: Reply) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop"}
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": reply.adapter,
        "choices": [choice],
        "usage": {"completion_tokens": reply.tokens_generated},
        "safety": reply.metadata["safety"],
        "metadata": {k: v for k, v in reply.metadata.items() if k != "safety"},
    }


async def _events(gateway: Gateway, first: Piece, rest: AsyncIterator[Piece]) -> AsyncIterator[str]:
    """Server-sent events in OpenAI's shape; `[DONE]` comes after the journal has the exchange."""
    created, name = int(time.time()), gateway.info.model

    def event(delta: dict[str, str], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        body = {"object": "chat.completion.chunk", "created": created, "model": name, "choices": [choice], **more}
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    try:
        yield event({"role": "assistant", "content": first.text})
        if first.response is None:
            async for piece in rest:
                first = piece
                if piece.text:
                    yield event({"content": piece.text})
        assert first.response is not None
        yield event({}, "stop", id=first.response.id, safety=first.response.metadata["safety"])
        yield "data: [DONE]\n\n"
    except Exception as error:  # noqa: BLE001 (a started stream has no status left; it ends with an error event)
        LOG.error("stream broke: %s", type(error).__name__)
        yield f"event: error\ndata: {json.dumps(BROKEN)}\n\n"


async def _too_long(_: Request, error: Exception) -> Response:
    from pe_ray.security.body_guard import problem

    return problem(422, "the message does not fit the model's context")
