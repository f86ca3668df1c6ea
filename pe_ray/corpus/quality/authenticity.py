"""Does the helper's tone meet the client's feeling? A row check of records in which a client says what they feel.

The client's own words of feeling are the markers (`markers.py`): what is denied or said of others does not count. The
helper's are those of `attunement.toml`. Where bright words may not fit, the emotions of `safety.emotion` are asked,
which cost many times as much (`look_again`). Where a side stays unclear there is no verdict. Only good cheer beside
plain distress is held against a reply; a grave answer to good news is flagged and no more, since people say "happy" in
the midst of trouble. This reads tone by words: it knows nothing of sincerity, and it is no sign of risk.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.columns import Turns
from pe_ray.corpus.quality import markers
from pe_ray.record import Record, Verdict
from pe_ray.safety import emotion

NAME = "authenticity"
DEFAULT_MIN = 0.2
HARD = frozenset({"sadness", "anger", "fear", "disgust", "shame"})
WELCOME = frozenset({"joy", "relief", "trust"})
COUNTED = re.compile(r'"(\w+)":\{"count":(\d+)')
"""An emotion and its count in the column `markers`; traits have a full stop in their names."""
CLEAR = 2
"""So many times as many words of one kind of feeling as of the other make the client's feeling clear."""
JARS, ODD, MIXED = 0.1, 0.4, 0.6
"""Scores: good cheer to distress; a tone that does not fit and may have a reason; both tones with cheer ahead."""


FITS = {("hard", "welcome"): JARS, ("hard", "hard"): 1.0, ("welcome", "welcome"): 1.0, ("welcome", "hard"): ODD}
"""Scores of a client's feeling and a helper's tone, both told by emotions."""
HARD_EMOTIONS = (
    *("sadness", "grief", "fear", "anger", "remorse", "disappointment", "nervousness", "embarrassment"),
    *("disgust", "annoyance"),
)
WELCOME_EMOTIONS = (
    *("joy", "excitement", "gratitude", "relief", "love", "pride", "optimism", "admiration", "amusement"),
)
LIKELY = 0.5
LONGEST = 4000
"""Characters of either side that the emotions read."""


@dataclass(frozen=True)
class Tone:
    """How often a helper's words are of each kind."""

    bright: int
    glad: int
    grave: int
    exclaims: bool


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict | None:
    """Attunement in 0..1 of what the assistant says; None where the client or the assistant is unclear."""
    own = [(n, m.text) for n, m in enumerate(record.messages) if m.role == "user"]
    answers = [m.text for m in record.messages if m.role == "assistant"]
    if record.content_type not in markers.CONTENT_TYPES or record.domain == markers.SCRIPTED_DOMAIN or not answers:
        return None
    told = markers.of_client(own)
    tones = _tones(pa.array(answers, pa.string()))
    tone = Tone(*(int(part.sum()) for part in tones[:3]), bool(tones[3].any()))
    verdict = _verdict(feeling(told), tone, minimum)
    if told and _is_unclear(verdict, tone):
        said = (record.text_of("user"), record.text_of("assistant"))
        return _again([verdict], [feeling(told)], [said], minimum)[0]
    return verdict


def judge(table: pa.Table) -> tuple[dict[int, Verdict], list[int]]:
    """What words say of every record of a table that has the column `markers`, by row, and the rows to look at again.

    With what `look_again` says of those it is `check` of every record.
    """
    turns = Turns.of(table)
    marked = pc.is_valid(table["markers"]).to_numpy(zero_copy_only=False)
    spoken = pc.equal(turns.roles, "assistant").to_numpy(zero_copy_only=False)
    owner = turns.record_of(np.arange(len(turns.roles)))
    messages = np.flatnonzero(spoken & marked[owner])
    counts = [np.bincount(owner[messages], part, len(table)) for part in _tones(turns.texts.take(pa.array(messages)))]
    bright, glad, grave, exclaims = (c.astype(np.int64) for c in counts)
    rows = np.flatnonzero(bright + glad + grave > 0).tolist()
    found: dict[int, Verdict] = {}
    unclear: list[int] = []
    for row, told in zip(rows, table["markers"].take(pa.array(rows, pa.int64())).to_pylist(), strict=True):
        tone = Tone(int(bright[row]), int(glad[row]), int(grave[row]), bool(exclaims[row]))
        verdict = _verdict(_felt(COUNTED.findall(told)), tone, DEFAULT_MIN)
        if verdict:
            found[row] = verdict
        if _is_unclear(verdict, tone):
            unclear.append(row)
    return found, unclear


def look_again(table: pa.Table, found: Mapping[int, Verdict], rows: Sequence[int]) -> dict[int, Verdict]:
    """Verdicts of these rows by the emotions of both sides."""
    if not rows:
        return {}
    chosen = table.take(pa.array(rows, pa.int64()))
    turns = Turns.of(chosen)
    said = list(zip(turns.said_by("user"), turns.said_by("assistant"), strict=True))
    told = [_felt(COUNTED.findall(text)) for text in chosen["markers"].to_pylist()]
    again = _again([found.get(row) for row in rows], told, said, DEFAULT_MIN)
    return {row: verdict for row, verdict in zip(rows, again, strict=True) if verdict}


def _is_unclear(verdict: Verdict | None, tone: Tone) -> bool:
    """Worth the emotions' cost: bright words of which it is not clear that they fit."""
    return tone.bright > 0 if verdict is None else verdict.score == ODD


def _again(
    before: Sequence[Verdict | None],
    felt: Sequence[str | None],
    said: Sequence[tuple[str, str]],
    minimum: float,
) -> list[Verdict | None]:
    """What the emotions of client and helper say; the verdict from before where they are unclear."""
    clients = [_side(e, ()) for e in emotion.read([client[:LONGEST] for client, _ in said])]
    helpers = [_side(e, ("caring",)) for e in emotion.read([answer[:LONGEST] for _, answer in said])]
    found: list[Verdict | None] = []
    for verdict, words, client, helper in zip(before, felt, clients, helpers, strict=True):
        told = words or client
        score = FITS.get((told or "", helper or ""))
        if score is None:
            found.append(verdict)
            continue
        if score == JARS and words is None:  # the emotions alone say so, on both sides
            score = ODD
        found.append(Verdict(NAME, score, score >= minimum, f"{told} feeling, {helper} tone by emotions"))
    return found


def _side(read: emotion.Emotion, also: Sequence[str]) -> str | None:
    """ "hard" or "welcome", which emotions a text shows clearly; None where it shows both, or neither."""
    if read.abstained:
        return None
    hard = max(read.scores[name] for name in (*HARD_EMOTIONS, *also))
    welcome = max(read.scores[name] for name in WELCOME_EMOTIONS)
    if hard >= LIKELY and hard > CLEAR * welcome:
        return "hard"
    return "welcome" if welcome >= LIKELY and welcome > CLEAR * hard else None


def feeling(told: Mapping[str, Any] | None) -> str | None:
    """ "hard" or "welcome", what a client's markers say they mostly feel; None where they say both, or neither."""
    return _felt((name, group["count"]) for name, group in (told or {}).get("emotions", {}).items())


def _felt(counts: Iterable[tuple[str, int | str]]) -> str | None:
    hard = welcome = 0
    for name, count in counts:
        if name in HARD:
            hard += int(count)
        elif name in WELCOME:
            welcome += int(count)
    if hard > CLEAR * welcome:
        return "hard"
    return "welcome" if welcome > CLEAR * hard else None


def spans(record: Record) -> Iterator[tuple[str, int, int, int]]:
    """(tone, message, start, end) of the words of a helper that were counted."""
    for number, message in enumerate(record.messages):
        for tone, pattern in _patterns().items() if message.role == "assistant" else ():
            for match in re.finditer(pattern, message.text, re.ASCII):
                yield tone, number, match.start(), match.end()


def _verdict(felt: str | None, tone: Tone, minimum: float) -> Verdict | None:
    score = _score(felt, tone)
    if score is None:
        return None
    said = f"{tone.bright} bright, {tone.glad} glad, {tone.grave} grave words"
    return Verdict(NAME, score, score >= minimum, f"{felt} feeling, {said}")


def _score(felt: str | None, tone: Tone) -> float | None:
    if felt == "hard":
        if tone.grave:
            return 1.0 if tone.bright <= tone.grave else MIXED
        if tone.bright >= 2 and tone.exclaims:
            return JARS
        return ODD if tone.bright and tone.exclaims else None
    if felt == "welcome":
        if tone.bright + tone.glad:
            return 1.0
        return ODD if tone.grave >= 2 else None
    return None


def _tones(texts: pa.StringArray) -> list[NDArray[np.int64]]:
    """Bright, glad and grave words of each text, and whether it exclaims."""
    counts = [
        pc.count_substring_regex(texts, pattern).to_numpy(zero_copy_only=False) for pattern in _patterns().values()
    ]
    return [*counts, pc.match_substring(texts, "!").to_numpy(zero_copy_only=False).astype(np.int64)]


@cache
def _patterns() -> dict[str, str]:
    """A pattern for each list; the same in RE2, over a column, and here, over a text."""
    table = tomllib.loads((resources.files("pe_ray.corpus.quality") / "attunement.toml").read_text(encoding="utf-8"))
    return {tone: _pattern(phrases.split(",")) for tone, phrases in table.items()}


def _pattern(phrases: list[str]) -> str:
    """The longer phrases first, since both engines take the first that fits."""
    ordered = sorted((" ".join(p.split()) for p in phrases), key=lambda p: (-len(p), p))
    parts = (re.escape(p).replace(r"\*", r"\w*").replace("'", "['’]").replace(r"\ ", " ") for p in ordered)
    return rf"(?i)\b(?:{'|'.join(parts)})\b"
