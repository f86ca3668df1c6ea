"""Safe replies: fixed words for when a model's are not to be trusted.

    safe_reply(assess("I want to kill myself"), "US")

A reply opens, asks directly, names whom to call, stays, and says that an AI is speaking. The texts are data
(`data/replies.toml`); which part comes when is here. A later turn is worded otherwise, and the same number is not
repeated within three turns.
"""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

from pe_ray.safety.resources import Resource, resources
from pe_ray.safety.rules import read
from pe_ray.safety.triage import Assessment

REPEAT_RESOURCE_EVERY = 3


def safe_reply(assessment: Assessment, locale: str) -> str:
    """The whole reply at levels 2 to 4 (a level below is treated as 2), for the gravest class found."""
    words = _class_words(assessment)
    level = min(max(assessment.level, 2), 4)
    turn = max(assessment.state.turns - 1, 0)
    again = turn > 0 and level < 4
    parts = [
        words["again"] if again else words[f"open_{level}"],
        words["again_ask"] if again else words[f"ask_{level}"],
        "" if again else words.get(f"safety_{level}", ""),
        _whom_to_call(assessment, locale, level, turn),
        _words()["stay"],
        _words()["notice"],
    ]
    return " ".join(p for p in parts if p)


def around(reply: str, assessment: Assessment, locale: str) -> str:
    """A model's reply at level 2 with what must not be missing: one direct question and a resource."""
    turn = max(assessment.state.turns - 1, 0)
    words = _class_words(assessment)
    if turn % REPEAT_RESOURCE_EVERY:
        return f"{reply}\n\n{_words()['gentle']} {_words()['notice']}"
    ask = words["ask_2"] if turn == 0 else words["again_ask"]
    return f"{reply}\n\n{ask} {_whom_to_call(assessment, locale, 2, turn)} {_words()['notice']}"


def failure_reply(locale: str) -> str:
    """The reply where triage itself failed: nothing is known, so the worst is not excluded."""
    return str(_words()["failed"]).replace("{resource}", _sentence(resources(locale)))


def blocked_reply() -> str:
    """The reply where the output filter refused the model's words twice at a low level."""
    return str(_words()["blocked"])


def ai_notice() -> str:
    """The sentence that says what is speaking."""
    return str(_words()["notice"])


def _whom_to_call(assessment: Assessment, locale: str, level: int, turn: int) -> str:
    if level < 4 and turn % REPEAT_RESOURCE_EVERY:
        return str(_words()["later_resource"])
    found = resources(locale, assessment.classes, level=level)
    return str(_words()[f"lead_{level}"]) + _sentence(found[: 1 if level == 2 else 2])


def _sentence(found: tuple[Resource, ...]) -> str:
    """ "call or text 988, any time (988 Suicide & Crisis Lifeline), or call 911 (Emergency services)."""
    return ", or ".join(f"{r.contact} ({r.name})" for r in found) + "."


def _class_words(assessment: Assessment) -> dict[str, Any]:
    name = assessment.classes[0] if assessment.classes else "suicide_self_harm"
    words: dict[str, Any] = _words()[name]
    return words | words.get("other", {}) if assessment.about_other else words


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads(read("replies"))
