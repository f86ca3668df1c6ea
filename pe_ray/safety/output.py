"""May these words be sent? The last look at everything that a model wrote, also when it comes from the cache.

    judge("You should double your dose.", level=0).action == "blocked"

Rules are data (`data/output.toml`); a judgement names rules, never words. `private` texts (a system prompt) may not be
repeated. The bias rules apply too. A filter of known sentences is a net with holes: it is one of several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pe_ray.safety import bias, context
from pe_ray.safety.normalise import normalise
from pe_ray.safety.rules import KEEP, load

BIAS_MIN = 0.5
LEAK_WORDS = 8
"""So many words in a row of a private text are a leak."""
CAREFUL = re.compile(
    r"\b(?:talk|speak|check|ask|consult)\w*(?: \w+){0,3} (?:doctor|pharmacist|prescriber|psychiatrist|clinician)|"
    r"\b(?:before|without) (?:you )?(?:\w+ing|changing|asking|talking)|"
    r"\b(?:away|out of reach|lock\w*|distance|hand (?:it|them)|give (?:it|them)|remove|safe)\b"
)
"""What makes a sentence about medication or means a careful one."""
EXCUSED = ("output.dosing", "output.means_in_danger")


@dataclass(frozen=True)
class OutputJudgement:
    """`rules` are `id@version` of what was found."""

    action: Literal["none", "blocked"]
    rules: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether the text must not be sent."""
        return self.action == "blocked"


def judge(text: str, *, level: int = 0, private: Sequence[str] = ()) -> OutputJudgement:
    """Judge a reply, or as much of it as there is, in a conversation of this level."""
    folded = normalise(text).text
    names = [n for s in re.finditer(r"[^.?!\n]+[.?!\n]?", folded) for n in _sentence(s.group(), level)]
    finding = bias.assess(text)
    names += finding.rules if finding.score < BIAS_MIN else ()
    if any(_repeats(folded, p) for p in private):
        names.append("output.leaks_private@1")
    rules = tuple(dict.fromkeys(names))
    return OutputJudgement("blocked" if rules else "none", rules)


def version() -> str:
    """Version of the rules, for cache keys."""
    return f"{load('output').version}.{bias.version()}"


def _sentence(sentence: str, level: int) -> list[str]:
    found = []
    for rule in load("output").candidates(sentence):
        if rule.level > level or (rule.id in EXCUSED and CAREFUL.search(sentence)):
            continue
        for match in rule.regex.finditer(sentence):
            around = context.read(sentence, match.start(), match.end(), "", "")
            if rule.negated == KEEP or not around.negated:
                found.append(rule.name)
    return found


def _repeats(folded: str, private: str) -> bool:
    words = normalise(private).text.split()
    size = min(LEAK_WORDS, len(words))
    if size < LEAK_WORDS // 2:
        return False
    padded = f" {folded} "
    return any(f" {' '.join(words[i : i + size])} " in padded for i in range(len(words) - size + 1))
