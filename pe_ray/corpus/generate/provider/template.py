"""The offline provider: no model and no network, one small text a cell, for trying things out.

What it writes is marked `generated: template`; the corpus takes at most a tenth of a source of it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from pe_ray.corpus.generate import prompt
from pe_ray.corpus.generate.protocol import Protocols
from pe_ray.corpus.generate.provider.base import Completion
from pe_ray.record import Message

SENTENCE = re.compile(r"[^.?!]+[.?!]?")


class Template:
    """Puts texts together from `data/templates.toml`, or from the lines on two persona cards."""

    def __init__(self, protocols: Protocols) -> None:
        self._says = {s.text: s.says for s in protocols.steps.values() if s.says}

    async def complete(self, messages: Sequence[Message], max_tokens: int, temperature: float, seed: int) -> Completion:
        """What the specification asks for, always in the same words."""
        asked = prompt.specification_in(tuple(messages))
        answer = _dialogue(asked) if "turns" in asked else _edge_case(asked, self._says)
        return Completion(json.dumps(answer, ensure_ascii=False), 0, 0)

    async def close(self) -> None:
        """Nothing is open."""


def _edge_case(asked: Mapping[str, Any], says: Mapping[str, str]) -> dict[str, Any]:
    texts = _texts()[asked["category"]]
    client = texts[asked["difficulty"]]
    heard = f"You said: “{SENTENCE.match(client)[0].rstrip('.')}.”"  # type: ignore[index]
    spoken = [says[text] for text in asked["must"] if text in says]
    return {
        "client": client,
        "therapist": " ".join([heard, texts["reply"], *spoken]),
        "purpose": texts["purpose"],
        "expected_challenges": texts["challenges"],
    }


def _dialogue(asked: Mapping[str, Any]) -> dict[str, Any]:
    client, therapist = asked["client"], asked["therapist"]
    pairs = list(zip(client["lines"], therapist["lines"], strict=False))[: asked["turns"] // 2]
    return {
        "turns": [
            {"speaker": card["name"], "text": line}
            for pair in pairs
            for card, line in zip((client, therapist), pair, strict=True)
        ],
        "topic": client["background"][:80],
        "purpose": "following a client's own images",
        "expected_challenges": client["beliefs"] or ["finding a way in"],
    }


@cache
def _texts() -> dict[str, Any]:
    return tomllib.loads((resources.files("pe_ray.corpus.generate") / "data" / "templates.toml").read_text("utf-8"))
