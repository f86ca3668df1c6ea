"""Ollama's /api/chat: models on this machine or in the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pe_ray.corpus.generate.provider.base import Completion
from pe_ray.corpus.generate.provider.http import Dialect
from pe_ray.corpus.generate.provider.reply import count, words
from pe_ray.record import Message


def _body(model: str, messages: Sequence[Message], max_tokens: int, temperature: float, seed: int) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": m.role, "content": m.text} for m in messages],
        "stream": False,
        "format": "json",
        "options": {"temperature": temperature, "seed": seed, "num_predict": max_tokens},
    }


def _read(body: Mapping[str, Any]) -> Completion:
    return Completion(
        text=words(body["message"]["content"]),
        prompt_tokens=count(body.get("prompt_eval_count")),
        completion_tokens=count(body.get("eval_count")),
        finish="length" if body.get("done_reason") == "length" else "stop",
    )


DIALECT = Dialect("/api/chat", "", lambda key: {}, _body, _read)
