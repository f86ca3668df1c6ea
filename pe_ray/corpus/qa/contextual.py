"""A question for an answer that has none: formed from the answer's own words, always the same one for the same answer.

The topic is what the answer comes back to: the pair of neighbouring words that stands there most often, or the words
that are said most often for how rare they are (by the shipped model of pairs). The kind of question follows from how
the answer speaks: of reasons, of steps, of differences, of what happened to the speaker; else it asks in general.

The question is made from a template, the answer is not: it is somebody's real words, and it is the answer that a model
is taught to give. So such a record is marked `question: contextual` and not `generated: template`, and is kept out of
the checks that judge how people talk.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise

from pe_ray.corpus.quality import words as vocabulary
from pe_ray.record import digest
from pe_ray.safety.learn.pair import Pairs, Space

GENERAL = (
    "Can you talk about {topic}?",
    "What can you tell me about {topic}?",
    "What is there to know about {topic}?",
    "Could you say something about {topic}?",
    "What are your thoughts on {topic}?",
    "How do you see {topic}?",
    "I keep coming back to {topic}. What would you say to that?",
    "What matters most when it comes to {topic}?",
    "How would you explain {topic} to somebody new to it?",
    "What should people understand about {topic}?",
)
KINDS: tuple[tuple[str, re.Pattern[str], int, tuple[str, ...]], ...] = (
    (
        "steps",
        re.compile(
            r"\b(?:first|second|third|then|next|finally|step|begin by|start by|start with|try to|practi[cs]e)\b", re.I
        ),
        4,
        (
            "How does one go about {topic}?",
            "What would you do, step by step, about {topic}?",
            "Where do you begin with {topic}?",
            "What helps in practice with {topic}?",
        ),
    ),
    (
        "reasons",
        re.compile(
            r"\b(?:because|since|therefore|that is why|that's why|the reason|cause[sd]?|leads? to|due to)\b", re.I
        ),
        2,
        (
            "What lies behind {topic}?",
            "How do you account for {topic}?",
            "What is it about {topic} that has such an effect?",
            "Where does {topic} come from?",
        ),
    ),
    (
        "difference",
        re.compile(
            r"\b(?:whereas|rather than|instead of|unlike|on the other hand|different from|compared (?:to|with))\b", re.I
        ),
        2,
        (
            "What is the difference when it comes to {topic}?",
            "How do people get {topic} wrong?",
            "What do we mix up when we speak of {topic}?",
        ),
    ),
    (
        "story",
        re.compile(r"\b(?:i (?:was|had|went|felt|remember|thought|knew|met|lost|saw)|when i|my own|years ago)\b", re.I),
        3,
        (
            "What has been your own experience of {topic}?",
            "How did you come to {topic}?",
            "What was it like for you, with {topic}?",
            "Do you remember a moment that had to do with {topic}?",
        ),
    ),
)
"""Signs of a way to speak, how many of them make it plain, and what is asked of it."""
AND = "and"
MIN_LETTERS = 4
NUM_OPENING_WORDS = 6


def contextual(answer: str, language: str = "") -> str:
    """The question; outside English only its topic, since the templates are English."""
    english = language.split("-")[0].casefold() in ("", "en")
    topic = _topic(answer, english)
    if not english:
        return f"{topic[0].upper()}{topic[1:]}?"
    asked = _templates(answer)
    return asked[int(digest("contextual", answer)[:8], 16) % len(asked)].format(topic=topic)


def _templates(answer: str) -> tuple[str, ...]:
    for _, sign, least, asked in KINDS:
        if len(sign.findall(answer)) >= least:
            return asked
    return GENERAL


def _topic(answer: str, english: bool) -> str:
    said = [(vocabulary.stem(w.casefold()), w) for w in vocabulary.WORD.findall(answer)]
    roots = [root if _speaks(word) else "" for root, word in said]
    surface: dict[str, Counter[str]] = {}
    for root, word in said:
        surface.setdefault(root, Counter())[word] += 1
    pairs = Counter(pair for pair in pairwise(roots) if all(pair) and pair[0] != pair[1])
    best = max(pairs, key=lambda p: pairs[p], default=None)  # of equals, the first in the answer
    if best and pairs[best] >= 2:
        return " ".join(_written(surface[root]) for root in best)
    single = Counter(root for root in roots if root)
    order = sorted(single, key=lambda root: -_worth(root, single[root], english))  # stable: the first in the answer
    top = [_written(surface[root]) for root in order[:2]]
    if not top:
        return f"“{' '.join(answer.split()[:NUM_OPENING_WORDS]).rstrip('.,;:!?')}”"
    return (f" {AND} " if english else ", ").join(top)


def _worth(root: str, times: int, english: bool) -> float:
    """How often a stem is said; of equals, in English, the rarer one."""
    space = _space()
    place = space.places.get(root, -1) if english else -1
    rarity = float(space.idf_V[place]) if place >= 0 else space.unknown_idf
    return times + (min(rarity, space.unknown_idf) / (10 * space.unknown_idf) if english else 0.0)


def _speaks(word: str) -> bool:
    """Does the word say what the answer is about? Neither common talk nor numbers do."""
    return len(word) >= MIN_LETTERS and word.isalpha() and vocabulary.weigh(word.casefold())[1] >= 1


def _written(forms: Counter[str]) -> str:
    """The commonest form; in lower case if it ever stands so."""
    common = forms.most_common(1)[0][0]
    return common.casefold() if common.casefold() in forms else common


@cache
def _space() -> Space:
    return Pairs.load().space
