"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pe_ray.corpus.generate.provider.base import Completion, Finish
from pe_ray.corpus.generate.provider.http import Dialect
from pe_ray.corpus.generate.provider.reply import count, total, words
from pe_ray.record import Message

VERSION = "2023-06-01"
FINISHES: Mapping[str | None, Finish] = {"max_tokens": "length", "refusal": "refusal"}


def _headers(key: str) -> dict[str, str]:
    return {"x-api-key": key, "anthropic-version": VERSION}


def _body(model: str, messages: Sequence[Message], max_tokens: int, temperature: float, seed: int) -> dict[str, Any]:
    """It takes no seed."""
    return {
        "model": model,
        "system": "\n\n".join(m.text for m in messages if m.role == "system"),
        "messages": [{"role": m.role, "content": m.text} for m in messages if m.role != "system"],
        "max_tokens": max_tokens,
        "temperature": temperature,
    }


def _read(body: Mapping[str, Any]) -> Completion:
    usage = body.get("usage") or {}
    read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return Completion(
        text="".join(words(part.get("text")) for part in body["content"] if part.get("type") == "text"),
        prompt_tokens=total(usage, read),
        completion_tokens=count(usage.get("output_tokens")),
        finish=FINISHES.get(body.get("stop_reason"), "stop"),
    )


DIALECT = Dialect("/v1/messages", "ANTHROPIC_API_KEY", _headers, _body, _read)
