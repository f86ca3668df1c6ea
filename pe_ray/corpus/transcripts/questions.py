"""A question for a passage that answers none: formed from the passage's own words, always the same one.

The topic is the pair of neighbouring content words that comes back most, else the two words that do. Names and rare
words are the passage's own; the question claims nothing that the passage does not say.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from pe_ray.corpus.quality import words as vocabulary
from pe_ray.record import digest

TEMPLATES = (
    "Can you talk about {topic}?",
    "What can you tell me about {topic}?",
    "What is there to know about {topic}?",
    "Could you say something about {topic}?",
)
AND = "and"
MIN_LETTERS = 4
NUM_OPENING_WORDS = 6


def contextual(passage: str, language: str = "") -> str:
    """The question; outside English only its topic, since the templates are English."""
    topic = _topic(passage, joined=language.split("-")[0].casefold() in ("", "en"))
    if language and language.split("-")[0].casefold() != "en":
        return f"{topic[0].upper()}{topic[1:]}?"
    return TEMPLATES[int(digest(passage)[:8], 16) % len(TEMPLATES)].format(topic=topic)


def _topic(passage: str, joined: bool) -> str:
    said = [(vocabulary.stem(w.casefold()), w) for w in vocabulary.WORD.findall(passage)]
    roots = [root if _speaks(word) else "" for root, word in said]
    surface: dict[str, Counter[str]] = {}
    for root, word in said:
        surface.setdefault(root, Counter())[word] += 1
    pairs = Counter(pair for pair in pairwise(roots) if all(pair) and pair[0] != pair[1])
    single = Counter(root for root in roots if root)
    best = max(pairs, key=lambda p: pairs[p], default=None)  # of equals, the first in the passage
    if best and pairs[best] >= 2:
        return " ".join(_written(surface[root]) for root in best)
    top = [_written(surface[root]) for root, _ in single.most_common(2)]
    if not top:
        return f"“{' '.join(passage.split()[:NUM_OPENING_WORDS]).rstrip('.,;:!?')}”"
    return (f" {AND} " if joined else ", ").join(top)


def _speaks(word: str) -> bool:
    """Does the word say what the passage is about? Neither common talk nor numbers do."""
    return len(word) >= MIN_LETTERS and word.isalpha() and vocabulary.weigh(word.casefold())[1] >= 1


def _written(forms: Counter[str]) -> str:
    """The commonest form; in lower case if it ever stands so."""
    common = forms.most_common(1)[0][0]
    return common.casefold() if common.casefold() in forms else common
