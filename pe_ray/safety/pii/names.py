"""Names of people, by what stands around a word and by lists of names.

| evidence | what is taken |
|---|---|
| "my name is", "signed", a title, "my sister" | the capitalised words that follow, in a list or not |
| a given name that is nothing else (Sarah) | wherever it has its capital, with the family name behind it |
| a family name that is nothing else (Garcia) | inside a sentence, or beside a given name |
| a name that is a word (Mark, Rose) | inside a sentence between words in lower case, or before "said" |
| a name with other capitals (Jordan, Hope, April) | after a cue, beside a family name, or before "said" |

Theorists (Freud; Carl Rogers), tests and diseases named after somebody, saints, verses and organisations are left.
Names in lower case are found after a cue alone. What a cue gives away in one turn counts in its record: see `evident`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pe_ray.safety.pii.cues import (
    BEFORE_SAINT,
    BOOKS,
    CAPITALS,
    CUE,
    CUE_LENGTH,
    CUE_NEEDS,
    INSIDE_SENTENCE,
    INSTITUTION,
    LOWER_CUED,
    LOWER_NEEDS,
    PARTICLE,
    SCIENCE,
    SENTENCE_START,
    SIGNED,
    SPEECH,
    VERSE,
    WORD,
)
from pe_ray.safety.pii.lexicon import Lexicon, fold, lexicon
from pe_ray.safety.pii.spans import Span


@dataclass(frozen=True)
class Word:
    """A capitalised word and the lists that it is in."""

    start: int
    end: int
    folded: str = field(repr=False)
    given: bool
    family: bool
    plain: bool
    """In a list, and nothing but a name."""
    stop: bool


def may_hold_names(text: str, lex: Lexicon) -> bool:
    """The gate: a capitalised word of the lists, a title, or a cue. Nearly all plain text ends here."""
    words = set(CAPITALS.findall(text))
    if not lex.gate.isdisjoint(words):
        return True
    if not words <= lex.common:  # a word that is in no list: a name, if a cue says so
        if any(map(text.__contains__, CUE_NEEDS)):
            return True
        for match in INSIDE_SENTENCE.finditer(text):
            if CUE.search(text, max(0, match.start(1) - CUE_LENGTH), match.start(1)):
                return True
    return any(map(text.__contains__, LOWER_NEEDS))


def find_names(text: str, known: frozenset[str] = frozenset()) -> Iterator[Span]:
    """The names in a text. `known` are folded words that are names in this record."""
    lex = lexicon()
    for run in _runs(text, lex):
        yield from _in_run(text, run, lex, known)
    if any(map(text.__contains__, LOWER_NEEDS)):
        yield from _lower_case(text, lex)


def evident(text: str, spans: Iterable[Span]) -> frozenset[str]:
    """The words of the names found, as `known` for the rest of a record; plain given names need no such help."""
    lex = lexicon()
    words = {fold(m.group()) for s in spans if s.type == "name" for m in WORD.finditer(text, s.start, s.end)}
    return frozenset(w for w in words if len(w) > 2 and not (w in lex.given and lex.is_plain(w)))


def _runs(text: str, lex: Lexicon) -> Iterator[list[Word]]:
    """Capitalised words that stand together, broken where one is no part of any name."""
    run: list[Word] = []
    for match in WORD.finditer(text):
        if match.start() and (text[match.start() - 1].isalnum() or text[match.start() - 1] in "_@#/"):
            continue
        if match.group() in lex.common:
            if run:
                yield run
            run = []
            continue
        word = _word(match, lex)
        if run and (word.stop or not _joined(text, run[-1], word, lex)):
            yield run
            run = []
        if not word.stop:
            run.append(word)
    if run:
        yield run


def _word(match: re.Match[str], lex: Lexicon) -> Word:
    folded = fold(match.group())
    head, tail = folded.split("-")[0], folded.split("-")[-1]
    given = folded in lex.given or ("-" in folded and head in lex.given)
    family = (
        folded in lex.family
        or ("-" in folded and tail in lex.family)
        or bool(re.match(r"o'\w{3}|d'\w{3}|ma?c[^aeiouhk]\w{3}", folded))
    )
    return Word(
        match.start(),
        match.end(),
        folded,
        given,
        family,
        (given or family) and lex.is_plain(folded),
        folded in lex.not_names or (len(folded) == 1 and match.string[match.end() : match.end() + 1] != "."),
    )


def _joined(text: str, before: Word, word: Word, lex: Lexicon) -> bool:
    gap = text[before.end : word.start]
    short = before.folded in lex.titles or len(before.folded) == 1
    return gap == " " or (gap == ". " and short) or PARTICLE.fullmatch(gap) is not None


def _in_run(text: str, run: list[Word], lex: Lexicon, known: frozenset[str]) -> Iterator[Span]:
    at = 0
    while at < len(run):
        if run[at].folded in lex.titles and at + 1 < len(run):
            cue, at = "title", at + 1
        else:
            before = CUE.search(text, max(0, run[at].start - CUE_LENGTH), run[at].start)
            cue = (before.lastgroup or "") if before else ""
        end = _extent(text, run, at, cue, lex, known)
        if end > at and not _is_somebody_known(text, run[at:end], cue, lex):
            yield Span(run[at].start, run[end - 1].end, "name", 0.9 if cue or run[at].plain else 0.7)
        at = max(end, at + 1)


def _extent(text: str, run: list[Word], at: int, cue: str, lex: Lexicon, known: frozenset[str]) -> int:
    """How far a name that begins at `at` goes; `at` itself where none begins."""
    if not (_by_cue(text, run, run[at], cue, lex) or _by_itself(text, run, at, cue, lex, known)):
        return at
    end = at + 1
    while end < len(run) and end - at < 4 and run[end].folded not in lex.titles:
        end += 1
    while len(run[end - 1].folded) == 1 and end - 1 > at:  # an initial needs a name behind it
        end -= 1
    return end


def _by_cue(text: str, run: list[Word], word: Word, cue: str, lex: Lexicon) -> bool:
    if cue in ("iam", "greet"):
        return word.given and word.folded not in lex.identity
    if not cue or len(word.folded) < 2 or (cue == "kin" and not word.given and word.folded in lex.proper):
        return False
    if cue == "signed" and not SIGNED.match(text, run[-1].end):
        return False
    abbreviation = text[word.start : word.end].isupper() and len(word.folded) < 5  # "my therapist DBT-trained"
    return word.given or word.family or not abbreviation


def _by_itself(text: str, run: list[Word], at: int, cue: str, lex: Lexicon, known: frozenset[str]) -> bool:
    word = run[at]
    if cue == "iam" and word.folded in lex.identity:
        return False
    if word.plain and word.given:
        return True
    if at + 1 < len(run) and run[at + 1].family and _opens_full_name(text, word, run[at + 1], lex):
        return True
    if word.plain and word.family and len(run) <= 2 and not _opens_sentence(text, word.start):
        return True
    return _is_word_used_as_name(text, run, at, lex) or (word.folded in known and not _asks(text, word, lex))


def _opens_full_name(text: str, word: Word, following: Word, lex: Lexicon) -> bool:
    inside = not _opens_sentence(text, word.start)
    if word.given and (word.plain or following.plain or (inside and following.folded not in lex.no_family_name)):
        return word.folded not in lex.identity and not _asks(text, word, lex)
    if len(word.folded) == 1:
        return following.plain  # J. Smith
    unknown = not (word.given or word.family) and len(word.folded) > 2
    return unknown and following.plain and not following.given and inside


def _is_word_used_as_name(text: str, run: list[Word], at: int, lex: Lexicon) -> bool:
    word = run[at]
    if not word.given or len(run) > 1 or _asks(text, word, lex) or not text[word.start + 1 : word.end].islower():
        return False
    if SPEECH.match(text, word.end):
        return True
    return word.folded in lex.word and not _opens_sentence(text, word.start) and not _in_heading(text, word)


def _asks(text: str, word: Word, lex: Lexicon) -> bool:
    return word.folded in lex.helper_verbs and _opens_sentence(text, word.start)


def _is_somebody_known(text: str, words: list[Word], cue: str, lex: Lexicon) -> bool:
    """A theorist, a saint, a verse, or something that is called after somebody."""
    start, end = words[0].start, words[-1].end
    if cue in ("name", "signed"):
        return False
    if BEFORE_SAINT.search(text[max(0, start - 10) : start]) or _is_called_after(text, words, cue):
        return True
    if fold(text[start:end]) in lex.theorists_in_full:
        return True
    # Freud and Linehan are theirs alone; a Rogers or an Ellis may be a client, if a title or a given name says so
    last = words[-1]
    return last.folded in lex.theorists and (not last.family or (len(words) == 1 and not cue and not last.given))


def _is_called_after(text: str, words: list[Word], cue: str) -> bool:
    last = words[-1]
    if last.folded in BOOKS and VERSE.match(text, last.end):
        return True
    for word in words:
        institution = INSTITUTION.match(text, word.end)
        if institution and not (word.given and institution["of"]):
            return True
    return not cue and not last.given and SCIENCE.match(text, last.end) is not None


def _opens_sentence(text: str, start: int) -> bool:
    """Whether a capital is owed to the place: the first word of a text, a line, a sentence or a quotation."""
    at = start - 1
    while at >= 0 and text[at] == " ":
        at -= 1
    return at < 0 or text[at] in SENTENCE_START


def _in_heading(text: str, word: Word) -> bool:
    """Whether a word beside has a capital too: "The Power Of Hope And Faith"."""
    before = text[max(0, word.start - 24) : word.start].split()
    after = text[word.end : word.end + 24].split()
    return any(w[0].isupper() and w not in ("I", "I'm", "I’m", "I've") for w in (*before[-1:], *after[:1]))


def _lower_case(text: str, lex: Lexicon) -> Iterator[Span]:
    """ "my name is sarah": only after a cue, and only what the lists hold."""
    for match in LOWER_CUED.finditer(text):
        group = match.lastgroup or ""
        first, *rest = match.group(group).split()
        listed = first in (lex.family if group == "title" else lex.given)
        if not listed or (group != "value" and not lex.is_plain(first)):
            continue
        length = len(match.group(group)) if rest and rest[0] in lex.family and lex.is_plain(rest[0]) else len(first)
        yield Span(match.start(group), match.start(group) + length, "name", 0.8)
