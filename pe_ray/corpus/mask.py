"""The shape of what was said, without the words: enough to see why a record was rejected, not what it tells.

`I xxx xxx to my xxx in 000, and xxx xxx.` Small words of grammar and punctuation stay, every other word is xxx however
long it is, every number 000. A small word stays only as grammar writes it, in lower case (or `I`): `Will` and `An` may
be names. Of each turn the first sentence is shown, and of that the first words; of each record the first turns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_TURNS = 2
MOST_WORDS = 16
HIDDEN, NUMBER, CUT = "xxx", "000", "…"

GRAMMAR = frozenset(
    [
        *("a", "an", "the", "this", "that", "there", "it", "its", "and", "or", "but", "not", "no", "if", "so"),
        *("as", "at", "by", "for", "from", "in", "of", "on", "to", "with", "then"),
        *("he", "her", "him", "his", "me", "my", "our", "she", "their", "them", "they", "us", "we", "you", "your"),
        *("are", "be", "been", "did", "do", "does", "had", "has", "have", "is", "was", "were"),
        *("how", "what", "when", "where", "which", "who", "why"),
    ]
)
"""None of them names a person, a place, a deed or a feeling."""

SENTENCE = re.compile(r"[^.!?\n]*[.!?]?")
PIECE = re.compile(r"\d+(?:[.,:/-]\d+)*(?!\w)|\w+(?:['’-]\w+)*|[^\w\s]")
KEPT_MARKS = frozenset(".,!?;:'’\"“”()[]<>&/=*-–—#")


@dataclass(frozen=True)
class Turn:
    """One turn: who speaks, how many words, and the shape of the first sentence."""

    role: str
    words: int
    shape: str


def turns(messages: Sequence[Mapping[str, str]]) -> list[Turn]:
    """The first turns of a record, masked."""
    return [Turn(m["role"], len(m["text"].split()), shape(m["text"])) for m in messages[:MOST_TURNS]]


def shape(text: str) -> str:
    """The first sentence of a text with its words hidden."""
    sentence = next((s for s in SENTENCE.findall(text.strip()) if s.strip()), "")
    pieces = PIECE.findall(sentence)
    shown = " ".join(_hidden(p) for p in pieces[:MOST_WORDS]) + (f" {CUT}" if len(pieces) > MOST_WORDS else "")
    return re.sub(r" (?=[.,!?;:)\]])", "", shown)


def _hidden(piece: str) -> str:
    if piece == "I" or piece in GRAMMAR or piece in KEPT_MARKS:
        return piece
    if piece[0].isdigit():
        return NUMBER
    return HIDDEN if re.match(r"\w", piece) else "·"
