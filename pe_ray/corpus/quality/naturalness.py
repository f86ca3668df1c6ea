"""Does this dialogue sound like people talking? A row check of dialogues; other records get no verdict.

Generated talk is even: turns of one length, sentences of one length, every reply ending in a question, the same
openings, stock sympathy, no "um". Each feature gives 0 at `artificial` and 1 at `natural`; the score is their weighed
mean over those that this record is long enough to show. It is a figure for the report and a low bar: careful written
dialogues are tidy too, and a tidy dialogue is no bad one.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from operator import eq

from pe_ray.corpus.quality.phrases import alternation, plain
from pe_ray.record import Record, Verdict

NAME = "naturalness"
DEFAULT_MIN = 0.2
CONTENT_TYPES = ("transcript", "interview", "podcast", "psychologist_voice", "dual_persona")
MIN_WORDS = 30
MIN_FEATURES = 3

SENTENCE_END = re.compile(r"[.!?…\n](?:[\"'”’)]*\s+|(?<=\n))")
CONTRACTIONS = ("n't", "'m ", "'s ", "'re ", "'ve ", "'ll ", "'d ")
BROKEN_OFF = re.compile(r"[–—-](?<=\w.)\s|…|\.\.\.")
"""A dash after a letter; one at the start of a line makes a list."""
BROKEN_OFF_SIGNS = ("–", "—", "-", "…", "...")
CLOSING = "\"'”’) \n"


@dataclass(frozen=True)
class Talk:
    """A dialogue in small letters and plain apostrophes, taken apart once for all features."""

    turns: tuple[str, ...] = field(repr=False)
    roles: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] = field(repr=False)
    """Of each turn, with the punctuation that touches them."""
    noted_back_channels: int
    english: bool
    text: str = field(repr=False)
    num_words: int
    phrases: Counter[str]
    """How often the phrases of each list of naturalness.toml are said."""

    def of(self, role: str) -> list[int]:
        return [i for i, r in enumerate(self.roles) if r == role]


@dataclass(frozen=True)
class Feature:
    """A figure of a dialogue, its weight, and the values at which it says 0 and 1."""

    name: str
    measure: Callable[[Talk], float | None]
    weight: float
    artificial: float
    natural: float

    def says(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.artificial) / (self.natural - self.artificial)))


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict | None:
    """Naturalness in 0..1 of a dialogue; None for a record that is none, or that is too short to tell."""
    if record.content_type not in CONTENT_TYPES or record.metadata.get("question") == "contextual":
        return None
    talk = _talk(record)
    if len(talk.turns) < 2 or talk.num_words < MIN_WORDS:
        return None
    found = [(f, value) for f in FEATURES if (value := f.measure(talk)) is not None]
    if len(found) < MIN_FEATURES:
        return None
    total = math.fsum(f.weight for f, _ in found)
    score = round(math.fsum(f.weight * f.says(value) for f, value in found) / total, 4)
    return Verdict(NAME, score, score >= minimum, ", ".join(f"{f.name} {value:.2f}" for f, value in found))


def spans(record: Record) -> Iterator[tuple[str, int, int, int]]:
    """(list, message, start, end) of the phrases that were counted, in a record that the check judges."""
    if check(record) is None:
        return
    pattern, listed = _phrases()
    for number, message in enumerate(record.messages):
        for match in pattern.finditer(plain(message.text)) if message.role != "system" else ():
            if match.group() in listed:
                yield listed[match.group()], number, match.start(), match.end()


def _talk(record: Record) -> Talk:
    said = [m for m in record.messages if m.role != "system"]
    try:
        noted = json.loads(record.metadata.get("back_channels", "[]"))
    except ValueError:  # another source may use the name for something else
        noted = []
    turns = tuple(plain(m.text) for m in said)
    words = tuple(tuple(turn.split()) for turn in turns)
    text, (pattern, listed) = "\n".join(turns), _phrases()
    return Talk(
        turns,
        tuple(m.role for m in said),
        words,
        len(noted) if isinstance(noted, list) else 0,
        record.metadata.get("language", "en")[:2].casefold() == "en",
        text,
        sum(map(len, words)),
        Counter(listed[phrase] for phrase in pattern.findall(text) if phrase in listed),
    )


def _turn_lengths(talk: Talk) -> float | None:
    """How much the lengths of one speaker's turns vary; the mean over the speakers with at least three."""
    lengths = [[len(talk.words[i]) for i in talk.of(role)] for role in ("user", "assistant")]
    known = [_variation(own) for own in lengths if len(own) >= 3]
    return math.fsum(known) / len(known) if known else None


def _sentence_lengths(talk: Talk) -> float | None:
    lengths = [s.count(" ") + 1 for s in SENTENCE_END.split(talk.text) if s]
    return _variation(lengths) if len(lengths) >= 4 else None


def _back_channels(talk: Talk) -> float | None:
    """Share of turns of one or two words, and of murmurs that were noted beside the turns."""
    short = sum(len(words) <= 2 for words in talk.words) + talk.noted_back_channels
    turns = len(talk.turns) + talk.noted_back_channels
    return short / turns if turns >= 6 else None


def _disfluencies(talk: Talk) -> float | None:
    """Fillers, restarts and words said twice, to a hundred words."""
    if not talk.english:
        return None
    words = talk.text.replace(",", " ").split()
    stumbles = sum(map(eq, words, words[1:])) + talk.phrases["disfluencies"]
    if any(sign in talk.text for sign in BROKEN_OFF_SIGNS):
        stumbles += len(BROKEN_OFF.findall(talk.text))
    return _per_hundred(talk, stumbles)


def _contractions(talk: Talk) -> float | None:
    return _per_hundred(talk, sum(map(talk.text.count, CONTRACTIONS))) if talk.english else None


def _stock(talk: Talk) -> float | None:
    return _per_hundred(talk, talk.phrases["stock"]) if talk.english else None


def _questions(talk: Talk) -> float | None:
    """Share of the helper's turns that end with a question."""
    own = talk.of("assistant")
    return sum(talk.turns[i].rstrip(CLOSING).endswith("?") for i in own) / len(own) if len(own) >= 3 else None


def _openings(talk: Talk) -> float | None:
    """Share of turns that begin with the same two words as another turn of their speaker."""
    long = [r for r in ("user", "assistant") if talk.roles.count(r) >= 4]
    seen = Counter((r, w[:2]) for r, w in zip(talk.roles, talk.words, strict=True) if r in long and w)
    return sum(n for n in seen.values() if n > 1) / seen.total() if seen else None


def _echoes(talk: Talk) -> float | None:
    """Share of runs of four words that were said before."""
    runs = [run for w in talk.words for run in zip(w, w[1:], w[2:], w[3:], strict=False)]
    return 1 - len(set(runs)) / len(runs) if len(runs) >= MIN_WORDS else None


FEATURES = (
    Feature("turn_lengths", _turn_lengths, 2.0, 0.1, 0.6),
    Feature("sentence_lengths", _sentence_lengths, 1.5, 0.2, 0.6),
    Feature("back_channels", _back_channels, 0.5, 0.0, 0.15),
    Feature("disfluencies", _disfluencies, 1.0, 0.0, 2.0),
    Feature("contractions", _contractions, 1.0, 0.0, 4.0),
    Feature("questions", _questions, 1.0, 1.0, 0.7),
    Feature("openings", _openings, 1.5, 0.5, 0.1),
    Feature("echoes", _echoes, 1.5, 0.15, 0.02),
    Feature("stock", _stock, 1.5, 2.0, 0.2),
)


def _variation(values: Sequence[int]) -> float:
    """Standard deviation over mean."""
    total = sum(values)
    return math.sqrt(len(values) * sum(v * v for v in values) - total * total) / total if total else 0.0


def _per_hundred(talk: Talk, number: int) -> float:
    return 100 * number / talk.num_words


@cache
def _phrases() -> tuple[re.Pattern[str], dict[str, str]]:
    """All phrases as one pattern, and the list that each stands in."""
    table = tomllib.loads((resources.files("pe_ray.corpus.quality") / "naturalness.toml").read_text(encoding="utf-8"))
    listed = {" ".join(phrase.split()): name for name, phrases in table.items() for phrase in phrases.split(",")}
    return alternation(listed), listed
