"""Does what is said of disorders and techniques agree with what is known of them? A row check; no claim, no verdict.

A claim is a sentence that defines one disorder and says a number: "five of nine symptoms", "for two weeks", "three
nights a week", "before the age of twelve". It is held against `knowledge/facts.py`; what stands there in any form is no
contradiction, and what does not stand there is not judged. A technique that is named must exist there. What somebody
went through ("I was depressed for a year"), averages and the length of a treatment are no claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.columns import Turns
from pe_ray.corpus.knowledge.facts import NUMBER, Disorder, Facts, days, facts, number
from pe_ray.corpus.quality.phrases import plain
from pe_ray.record import Record, Verdict, from_table

NAME = "evidence"
DEFAULT_MIN = 0.3
CONTRADICTED, UNKNOWN = 0.2, 0.6
"""The score of a record with a contradiction or a discredited technique, and with a technique that nobody knows."""
UNKNOWN_RULE = "unknown technique"
"""No fault of a textbook, which describes what is no therapy either."""
TOLERANCE = 1.34
"""A span of time agrees up to this factor: a month is four weeks, and "nearly a year" is a year."""
LONGEST_SENTENCE = 800

DISORDERS = (
    r"(?i)disorder|depressive|major depress|clinical depress|traumatic|acute stress|mani[ac]|schizophren|"
    r"attention.deficit|\b(?:c?ptsd|adhd|ocd|ocpd|gad|bpd|mdd|pmdd)\b|panic attack|phobi|social anxiety|"
    r"insomnia|bulimi|dysthymi|cyclothymi|grief|borderline|bipolar"
)
NUMBERS = (
    r"(?i)\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|twenty|thirty|forty|once|twice|single|"
    r"(?:one|an?|half an?)[ -](?:minute|hour|day|night|week|month|year))\b"
)
METHODS = (
    r"(?i)\w,? [\w'-]+,? (?:therap(?:y|ies)|techniques?|methods?|protocols?|healing)\b|rebirth|holding therapy|"
    r"(?:conversion|reparative|ex-gay) therap|regression|scared straight|facilitated comm|recovered.memory|boot camp"
)
"""Patterns of RE2: a message in which neither the first two nor the third are found makes no claim."""

NAMES_METHOD = re.compile(METHODS.removeprefix("(?i)"))
SENTENCE = re.compile(rf"[^.?!\n]{{1,{LONGEST_SENTENCE}}}[.?!\n]?")
DEFINES = re.compile(
    r"\b(?:diagnos\w*|criteri\w+|defin\w+|requir\w+|considered|means|covers|describ\w+|lasts|lasted|begins?|calls? for|"
    r"what we call|is not given|isn't given|shows?|must|persists?|takes? up|happens?|"
    r"(?:has|have|had|needs?|only needs?) (?:to )?(?:be|have|last\w*|feel|begin|meet|take up|gone on|been)|"
    r"is (?:\w+ ){1,3}(?:a|per) (?:day|week|night)|(?:is|are) an? (?:rush|pattern)|have \w+ or more)\b|:"
)
STORY = re.compile(
    r"\b(?:i|i've|i'm|we(?! call)|my|he|she|his|her|you've|you have been|you have had|average|averages|typically|often|"
    r"(?:may|might|can|could) last|up to|untreated|treat\w*|medic\w+|antidepressants?|therapy|sessions?|recover\w*|"
    r"improv\w*|relaps\w*|remission|respon\w+|stud(?:y|ies)|trials?|follow-?up|percent)\b|%"
)
"""Somebody's story, an average, or what a treatment does."""
PERSONS = "people|patients|adults|women|men|children|clients|cases|sessions|times"
SIGNS = "symptoms?|criteria|features?|signs?|traits?"
COUNT = re.compile(
    rf"\b(?P<k>{NUMBER})\b(?: or (?:more|fewer))?(?: (?:{SIGNS}))?(?: out)? of "
    rf"(?:the |its |a list of |these |those |possible )*(?P<n>{NUMBER})\b(?! (?:{PERSONS}))"
)
ALL_OF = re.compile(rf"\ball (?:of the )?(?P<n>{NUMBER}) (?:\w+ )?(?:{SIGNS})\b")
SPAN = re.compile(
    rf"\b(?P<amount>{NUMBER})[ -](?P<unit>minute|hour|day|week|month|year)s?\b"
    r"(?P<apart> old| of age| following| of giving| after (?:child)?birth)?"
)
OFTEN = re.compile(
    rf"\b(?:(?P<word>once|twice)|(?P<times>{NUMBER}) (?:\w+ )?(?:times?|nights?|days?|hours?|binges?|episodes?))"
    r"(?: or more)? (?:a|per|each|every) (?P<unit>day|week|month)\b"
)
AGE = re.compile(
    rf"\b(?:(?:before|after|from|by|at|until)(?: the)? age(?: of)? (?P<age>{NUMBER})|"
    rf"under (?:the age of )?(?P<under>{NUMBER})(?! (?:minute|hour|day|week|month|year))|from (?P<from>{NUMBER}) on)\b"
)
METHOD = re.compile(
    r"(?:^|\b(?:recommend\w*|suggest\w*|try|trying|use|using|offer\w*|practi[cs]e|called|with|through|undergo\w*|the|an?|is|"
    r"in|of|some)) ?(?P<words>(?:[a-z][a-z'-]* ){2,4})(?:therapy|technique|method|protocol)\b"
)
DOUBTED = re.compile(
    r"\b(?:not|no|never|avoid|harm\w*|danger\w*|discredit\w*|debunk\w*|banned|pseudo\w*|without evidence|lacks?|"
    r"unproven|can't|cannot|don't|doesn't|isn't|rather than|instead of|warn\w*|oppos\w*|illegal|against|so-called|"
    r"refus\w*|critici\w+|claims?|apolog\w*|wast\w+|controvers\w+|outdated|abandon\w*|believed)\b"
)


@dataclass(frozen=True)
class Claim:
    """What was found wrong or unknown (`rule`), or right (empty rule), and where, in characters of a message."""

    rule: str
    message: int
    start: int
    end: int

    @property
    def score(self) -> float:
        if not self.rule:
            return 1.0
        return UNKNOWN if self.rule == UNKNOWN_RULE else CONTRADICTED


def check(record: Record, minimum: float = DEFAULT_MIN, known: Facts | None = None) -> Verdict | None:
    """Agreement in 0..1 of what the assistant says with what is known; None where it claims nothing."""
    found = list(claims(record, known or facts()))
    if not found:
        return None
    score = min(c.score for c in found)
    wrong = dict.fromkeys(c.rule for c in found if c.rule)
    return Verdict(NAME, score, score >= minimum, ", ".join(wrong) or f"{len(found)} statements agree")


def claims(record: Record, known: Facts | None = None) -> Iterator[Claim]:
    """Every statement that could be held against what is known, right or wrong."""
    for number_, message in enumerate(record.messages):
        if message.role == "assistant":
            taught = record.content_type == "knowledge"
            for claim in _claims(plain(message.text), number_, known or facts()):
                if not (taught and claim.rule == UNKNOWN_RULE):
                    yield claim


def applies(table: pa.Table) -> NDArray[np.bool_]:
    """The records that could hold a claim, by patterns that cost little; the check has nothing to say of the others."""
    turns = Turns.of(table)
    spoken = np.flatnonzero(pc.equal(turns.roles, "assistant").to_numpy(zero_copy_only=False))
    texts = turns.texts.take(pa.array(spoken))
    named = np.flatnonzero(_with(texts, DISORDERS))
    numbered = named[_with(texts.take(pa.array(named)), NUMBERS)]
    found = np.zeros(len(table), np.bool_)
    found[turns.record_of(spoken[np.union1d(numbered, np.flatnonzero(_with(texts, METHODS)))])] = True
    return found


def judge(table: pa.Table, known: Facts | None = None) -> dict[int, Verdict]:
    """`check` of every record of a table, by row."""
    rows = np.flatnonzero(applies(table))
    records = from_table(table.take(pa.array(rows, pa.int64())))
    checked = ((row, check(record, DEFAULT_MIN, known)) for row, record in zip(rows.tolist(), records, strict=True))
    return {row: verdict for row, verdict in checked if verdict}


def _with(texts: pa.StringArray, pattern: str) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy(
        zero_copy_only=False
    )
    return mask


def _claims(text: str, message: int, known: Facts) -> Iterator[Claim]:
    named = [m.start() for _, m in known.disorders_in(text)]
    methods = [m.start() for m in NAMES_METHOD.finditer(text)]
    for sentence in SENTENCE.finditer(text) if named or methods else ():
        words, at = sentence.group(), sentence.start()
        found = [*_numbers(words, known)] if any(at <= place < sentence.end() for place in named) else []
        found += _methods(words, known) if any(at <= place < sentence.end() for place in methods) else []
        for rule, start, end in found:
            yield Claim(rule, message, at + start, at + end)


def _numbers(sentence: str, known: Facts) -> Iterator[tuple[str, int, int]]:
    named = {d.id: d for d, _ in known.disorders_in(sentence)}
    if len(named) != 1 or not DEFINES.search(sentence) or STORY.search(sentence):
        return
    disorder = next(iter(named.values()))
    rest = sentence
    for match in OFTEN.finditer(sentence):
        rest = rest[: match.start()] + "_" * len(match.group()) + rest[match.end() :]
        yield from _judged(disorder, "often", _often_agrees(disorder, match), match)
    for match in COUNT.finditer(rest):
        yield from _judged(disorder, "count", _count_agrees(disorder, number(match["k"]), number(match["n"])), match)
    for match in ALL_OF.finditer(rest):
        yield from _judged(disorder, "count", _count_agrees(disorder, *[number(match["n"])] * 2), match)
    for match in AGE.finditer(rest):
        age = number(match["age"] or match["under"] or match["from"])
        yield from _judged(disorder, "age", age in disorder.ages if disorder.ages else None, match)
    for match in SPAN.finditer(rest):
        if not match["apart"]:
            yield from _judged(disorder, "duration", _span_agrees(disorder, match), match)


def _judged(disorder: Disorder, kind: str, agrees: bool | None, match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    if agrees is not None:
        yield "" if agrees else f"{kind} of {disorder.id} contradicted", match.start(), match.end()


def _count_agrees(disorder: Disorder, k: float, n: float) -> bool | None:
    return (k, n) in disorder.counts if disorder.counts and n >= 2 else None


def _span_agrees(disorder: Disorder, match: re.Match[str]) -> bool | None:
    span = days(number(match["amount"]), match["unit"])
    return any(1 / TOLERANCE <= span / d <= TOLERANCE for d in disorder.lasts) if disorder.lasts else None


def _often_agrees(disorder: Disorder, match: re.Match[str]) -> bool | None:
    times = number(match["word"] or match["times"])
    units = [(n, unit) for n, unit in disorder.often if unit == match["unit"]]
    return any(times == n for n, _ in units) if units else None


def _methods(sentence: str, known: Facts) -> Iterator[tuple[str, int, int]]:
    doubted = DOUBTED.search(sentence) is not None
    for bad in known.discredited:
        for match in bad.pattern.finditer(sentence):
            if not doubted:
                yield f"discredited technique: {bad.id}", match.start(), match.end()
    for match in METHOD.finditer(sentence):
        words = _own_words(match["words"], known)
        if len(words) >= 2 and not doubted:
            new = sum(not _is_known(w, known) for w in words)
            yield UNKNOWN_RULE if 2 * new > len(words) else "", match.start(), match.end()


def _own_words(words: str, known: Facts) -> list[str]:
    """The words that name a method: from the right, up to one that tells nothing of it."""
    named: list[str] = []
    for word in reversed(words.split()):
        if word.strip(",") in known.ordinary or word.endswith(","):
            break
        named.insert(0, word)
    return named


def _is_known(word: str, known: Facts) -> bool:
    return (
        word in known.known or word.removesuffix("s") in known.known or all(p in known.known for p in word.split("-"))
    )
