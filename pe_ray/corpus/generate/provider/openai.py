"""OpenAI's chat completions, which vLLM, llama.cpp, LM Studio and many others speak too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pe_ray.corpus.generate.provider.base import Completion, Finish
from pe_ray.corpus.generate.provider.http import Dialect
from pe_ray.corpus.generate.provider.reply import count, words
from pe_ray.record import Message

FINISHES: Mapping[str | None, Finish] = {"length": "length", "content_filter": "refusal"}


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _body(model: str, messages: Sequence[Message], max_tokens: int, temperature: float, seed: int) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": m.role, "content": m.text} for m in messages],
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "response_format": {"type": "json_object"},
    }


def _read(body: Mapping[str, Any]) -> Completion:
    choice = body["choices"][0]
    message = choice["message"]
    usage = body.get("usage") or {}
    return Completion(
        text=words(message.get("content")),
        prompt_tokens=count(usage.get("prompt_tokens")),
        completion_tokens=count(usage.get("completion_tokens")),
        finish="refusal" if message.get("refusal") else FINISHES.get(choice.get("finish_reason"), "stop"),
    )


DIALECT = Dialect("/chat/completions", "OPENAI_API_KEY", _headers, _body, _read)
