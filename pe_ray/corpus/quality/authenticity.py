"""Does the helper's tone meet the client's feeling? A row check of records in which a client says what they feel.

The client's own words of feeling are the markers (`markers.py`): what is denied or said of others does not count. The
helper's are those of `attunement.toml`. Where either side is unclear there is no verdict. Only good cheer beside plain
distress is held against a reply; a grave answer to good news is flagged and no more, since people say "happy" in the
midst of trouble. This reads tone by words: it knows nothing of sincerity, and it is no sign of risk.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
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
    felt = feeling(markers.of_client(own))
    tones = _tones(pa.array(answers, pa.string()))
    return _verdict(felt, Tone(*(int(part.sum()) for part in tones[:3]), bool(tones[3].any())), minimum)


def judge(table: pa.Table) -> dict[int, Verdict]:
    """`check` of every record of a table that has the column `markers`, by row; columns first, records last."""
    turns = Turns.of(table)
    marked = pc.is_valid(table["markers"]).to_numpy(zero_copy_only=False)
    spoken = pc.equal(turns.roles, "assistant").to_numpy(zero_copy_only=False)
    owner = turns.record_of(np.arange(len(turns.roles)))
    messages = np.flatnonzero(spoken & marked[owner])
    counts = [np.bincount(owner[messages], part, len(table)) for part in _tones(turns.texts.take(pa.array(messages)))]
    bright, glad, grave, exclaims = (c.astype(np.int64) for c in counts)
    rows = np.flatnonzero(bright + glad + grave > 0).tolist()
    found = {}
    for row, told in zip(rows, table["markers"].take(pa.array(rows, pa.int64())).to_pylist(), strict=True):
        tone = Tone(int(bright[row]), int(glad[row]), int(grave[row]), bool(exclaims[row]))
        if verdict := _verdict(_felt(COUNTED.findall(told)), tone, DEFAULT_MIN):
            found[row] = verdict
    return found


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
