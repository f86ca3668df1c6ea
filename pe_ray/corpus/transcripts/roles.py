"""Who helps and who is helped, by the speaker's name, and where words and names disagree.

Names decide. Where a file has only "SPEAKER_00" and "SPEAKER_01", words decide if they are plain enough, and the record
says so (`helper_by`). Diarisation sometimes swaps its two labels in the middle of a file: then a run of turns says on
one side what belongs to the other (`roles.toml`), and the exchanges of that run are marked, not mended.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

HELPERS = (
    *("supervisor", "psychologist", "counsellor", "counselor", "therapist"),
    *("psychotherapist", "psychiatrist", "clinician", "practitioner", "facilitator", "doctor", "dr"),
)
"""Who helps, by the first word of the speaker's name. Where only helpers speak, the first in this list is the helper
and the others ask (a therapist brings a case to a supervisor)."""
CLIENTS = ("client", "patient", "helpee", "seeker", "caller")
"""Who is helped. A client who speaks alone is nobody's answer."""
OTHERS = ("host", "interviewer", "interviewee", "moderator", "trainee", "student", "narrator", "speaker", "guest")

CLEAR_MARGIN = 4
"""So many more helper's than client's phrases, and as many fewer for the other, make unnamed speakers plain."""
SWAP_WEIGHT = 5
SWAP_TURNS = 3
"""A run of turns that speak against their label: at least this weight of phrases, in this many turns."""
MAX_PER_TURN = 3


@dataclass(frozen=True)
class Said:
    """A turn, as far as roles care."""

    speaker: str
    text: str


def is_role(name: str) -> bool:
    """Does this name say what somebody is there for?"""
    return _first(name) in (*HELPERS, *CLIENTS, *OTHERS)


def is_client(name: str) -> bool:
    return _first(name) in CLIENTS


def helpers_of(names: Iterable[str]) -> set[str]:
    """Those who help, by their names."""
    speakers = set(names)
    rank = {s: HELPERS.index(word) for s in speakers if (word := _first(s)) in HELPERS}
    if len(rank) == len(speakers) and len(set(rank.values())) > 1:
        return {s for s in rank if rank[s] == min(rank.values())}
    return set(rank)


def helper_by_words(said: Sequence[Said]) -> set[str]:
    """The one of two speakers who plainly talks like a helper while the other talks like a client; else nobody."""
    totals: dict[str, int] = {}
    for turn in said:
        totals[turn.speaker] = totals.get(turn.speaker, 0) + evidence(turn.text)
    if len(totals) != 2:
        return set()
    (_, least), (helper, most) = sorted(totals.items(), key=lambda item: item[1])
    return {helper} if most >= CLEAR_MARGIN and least <= -CLEAR_MARGIN else set()


def swapped(said: Sequence[Said], helpers: set[str]) -> set[int]:
    """Positions of the turns that lie in a run which speaks against its labels."""
    against = [evidence(t.text) * (-1 if t.speaker in helpers else 1) for t in said]
    found: set[int] = set()
    start, total, best, best_end = 0, 0, 0, 0
    for position, value in enumerate([*against, -(10**6)]):
        if total + value <= 0:
            run = range(start, best_end)
            if best >= SWAP_WEIGHT and sum(against[i] > 0 for i in run) >= SWAP_TURNS:
                found.update(run)
            start, total, best, best_end = position + 1, 0, 0, position + 1
            continue
        total += value
        if total > best:
            best, best_end = total, position + 1
    return found


def evidence(text: str) -> int:
    """Phrases of a helper less phrases of a client, within ±MAX_PER_TURN."""
    kinds = [match.lastgroup for match in _phrases().finditer(text.replace("’", "'"))]
    return max(-MAX_PER_TURN, min(MAX_PER_TURN, kinds.count("helper") - kinds.count("client")))


def _first(name: str) -> str:
    found = re.match(r"[^a-z]*([a-z]+)", name.casefold())
    return found[1] if found else ""


@cache
def _phrases() -> re.Pattern[str]:
    table = tomllib.loads((resources.files("pe_ray.corpus.transcripts") / "roles.toml").read_text(encoding="utf-8"))
    groups = (f"(?P<{kind}>{'|'.join(map(re.escape, table[kind]))})" for kind in ("helper", "client"))
    return re.compile(rf"\b(?:{'|'.join(groups)})\b", re.IGNORECASE)
