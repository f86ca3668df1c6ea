"""Does a text judge people by the group that they belong to? Forms of sentence, found by rules.

    assess("Women are too emotional to lead.").score == 0.4

A first version with stated limits: it reads English, knows the common forms of generalisation, and neither irony nor
the world. A sentence that names a stereotype in order to question it counts half.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pe_ray.safety.normalise import fold, normalise
from pe_ray.safety.rules import load

CRITICAL = re.compile(
    r"\b(?:stereotyp\w*|assum\w+|prejudic\w*|myths?|bias\w*|unfair\w*|not true|untrue|no evidence|(?:is|are) wrong|"
    r"generali[sz]\w*|caricature|clich\w*|idea that|belief that|claim that|notion that|label\w*|disrespect\w*|harmful|"
    r"not because|rather than|instead of|evidence does not)\b"
)


@dataclass(frozen=True)
class BiasFinding:
    """`score` in 0..1, 1 is respectful; rules are `id@version`; spans count characters of the text as it was given."""

    score: float
    rules: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


NOTHING = BiasFinding(1.0, (), ())


def assess(text: str) -> BiasFinding:
    """Judge a text of any length; the cost is linear in it."""
    plain, rules = fold(text), load("bias")
    score, names, places = 1.0, [], []
    among = rules.gate.narrow(plain)
    if not among:
        return NOTHING
    for sentence in re.finditer(r"[^.?!\n]+", plain):
        padded = f" {sentence.group()} "
        for rule in rules.candidates(padded, among):
            for match in rule.regex.finditer(sentence.group()):
                score *= 1 - rule.weight * (0.5 if CRITICAL.search(padded) else 1.0)
                names.append(rule.name)
                places.append((sentence.start() + match.start(), sentence.start() + match.end()))
    if not places:
        return NOTHING
    folded = normalise(text)
    return BiasFinding(score, tuple(dict.fromkeys(names)), tuple(folded.origin(*place) for place in places))


def version() -> str:
    """Version of the rules, for reports."""
    return load("bias").version
