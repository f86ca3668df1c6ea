"""Does a sentence about a group resemble one that judges people by it? The second tier of bias, after the rules.

    read(["He came late. By nature men tend to fix things."])[0]  ->  Sign(probability=0.95, start=14, end=49)

A small model (`learn/tasks/bias.py`) reads those sentences alone that name a group from `data/groups.toml`; it does not
see which group that is. It is right too seldom to remove a text by itself (`docs/models/bias.md`), and a filter that
removes sentences about a group removes the group: what it finds is for a person to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pe_ray.safety.groups import names_group
from pe_ray.safety.learn.model import Model, load
from pe_ray.safety.normalise import fold
from pe_ray.safety.sentences import Sign, likeliest

TASK = "bias"
SURE = 0.8
"""From here on a sentence is told: one in fifty of the sentences about a group in answers of therapists."""


def read(texts: Sequence[str]) -> list[Sign | None]:
    """The likeliest sentence of each text; None where no sentence names a group, or none can be judged."""
    about = [text if _names_group(text) else "" for text in texts]
    return likeliest(_model(), about, _names_group)


def _names_group(text: str) -> bool:
    return names_group(fold(text).split())


@cache
def _model() -> Model:
    return load(TASK)
