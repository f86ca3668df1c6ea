"""Paragraphs as passages of a bounded length, cut where a paragraph ends."""

from __future__ import annotations

import re
from collections.abc import Sequence

LEAST_WORDS = 60
MOST_WORDS = 400

SHORT = ("Dr", "Mr", "Mrs", "Ms", "St", "vs", "cf", "Fig", r"e\.g", r"i\.e", "[A-Z]")
NO_END = "".join(rf"(?<!\b{short}\.)" for short in SHORT)
"""A full stop after one of these ends no sentence."""
SENTENCE_END = re.compile(rf"(?:(?<=[.!?]){NO_END}|(?<=[.!?][\"”’)]))\s+(?=[\"“‘(]?[A-Z0-9])")


def passages(
    paragraphs: Sequence[str], least_words: int = LEAST_WORDS, most_words: int = MOST_WORDS
) -> list[tuple[str, int]]:
    """Passages of at most `most_words`, and for each the index of the paragraph that it begins in.

    A paragraph that is longer is cut at a sentence, and one without sentences between words. A last passage under
    `least_words` takes paragraphs from the one before, as long as that one keeps enough; a text that is shorter as a
    whole is one passage.
    """
    pieces = [(piece, i) for i, paragraph in enumerate(paragraphs) for piece in _pieces(paragraph, most_words)]
    packed: list[list[tuple[str, int]]] = []
    for piece in pieces:
        if packed and _words(packed[-1]) + _words([piece]) <= most_words:
            packed[-1].append(piece)
        else:
            packed.append([piece])
    _even_out(packed, least_words)
    return [("\n\n".join(text for text, _ in passage), passage[0][1]) for passage in packed]


def sentences(paragraph: str) -> list[str]:
    """A paragraph's sentences; a text without full stops is one."""
    return [s for s in SENTENCE_END.split(paragraph) if s.strip()]


def _even_out(packed: list[list[tuple[str, int]]], least_words: int) -> None:
    if len(packed) < 2:
        return
    before, last = packed[-2:]
    while _words(last) < least_words and len(before) > 1 and _words(before[:-1]) >= least_words:
        last.insert(0, before.pop())


def _words(passage: Sequence[tuple[str, int]]) -> int:
    return sum(len(text.split()) for text, _ in passage)


def _pieces(paragraph: str, most_words: int) -> list[str]:
    if len(paragraph.split()) <= most_words:
        return [paragraph] if paragraph.strip() else []
    pieces: list[list[str]] = [[]]
    for sentence in sentences(paragraph):
        words = sentence.split()
        for part in (words[i : i + most_words] for i in range(0, len(words), most_words)):
            if len(pieces[-1]) + len(part) > most_words:
                pieces.append([])
            pieces[-1] += part
    return [" ".join(piece) for piece in pieces if piece]
