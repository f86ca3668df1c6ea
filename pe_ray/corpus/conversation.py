"""Conversations of two as sources find them: blocks under speaker labels, or lists of messages; and their windows.

A label counts only at the start of a line and only in the spelling that the conversation began with, so that "Subject:"
or a quoted "Client:" inside a turn does not cut it. What cannot be learnt from (a helper who speaks first, a question
that is never answered) is left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pe_ray.corpus.row import Fault

ASKING = ("user", "client", "patient", "seeker", "student", "human")
HELPING = ("assistant", "agent", "therapist", "counsellor", "counselor", "helper", "supporter", "listener")
WINDOW_CHARS = 20_000
"""Most characters of a window. A context of 8,192 tokens holds more English than this; what does not fit into the
context would be cut off unseen, so a long conversation becomes several records, each of whole exchanges."""

_INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"


@dataclass(frozen=True)
class Turn:
    """What one speaker says before the other does; `line` is where it begins, from 1."""

    speaker: str
    text: str = field(repr=False)
    line: int = 0


@dataclass(frozen=True)
class Exchanges:
    """Turns of `user` and `assistant`, from the first question to the last answer, and how many were left out."""

    turns: Sequence[Turn] = field(repr=False)
    empty_turns: int
    opening_turns: int
    unanswered_turns: int


def blocks(text: str, labels: Sequence[str], *, bullets: bool = False) -> list[Turn]:
    """The turns of a text in which each begins with one of `labels`, spelt so, and a colon; empty ones too.

    With `bullets`, a mark before a label ("* User 1:") is no word. Raises Fault for words before the first label.
    """
    known = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    pattern = re.compile(rf"[ \t{_INVISIBLE}]*{'(?:[*-][ ]*)?' if bullets else ''}({known})[ \t]*:")
    found: list[tuple[str, int, list[str]]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        match = pattern.match(line)
        if match:
            found.append((match[1], number, [line[match.end() :]]))
        elif found:
            found[-1][2].append(line)
        elif any(c.isalnum() for c in line):
            raise Fault("turns", f"line {number} stands before the first speaker ({', '.join(labels)})")
    return [Turn(speaker, "\n".join(said).strip(_INVISIBLE + " \t\n"), line) for speaker, line, said in found]


def speakers_of(text: str) -> tuple[str, str]:
    """How one who asks and one who helps are called in a text, spelt as there; raises Fault if that cannot be told."""
    both = "|".join((*ASKING, *HELPING))
    pattern = re.compile(rf"^[ \t{_INVISIBLE}]*({both})[ \t]*:", re.IGNORECASE | re.MULTILINE)
    spelt = [match[1] for match in pattern.finditer(text)]
    asking = next((s for s in spelt if s.casefold() in ASKING), None)
    helping = next((s for s in spelt if s.casefold() in HELPING), None)
    if not asking or not helping:
        raise Fault("turns", f"no line begins with {'user: or client:' if not asking else 'agent: or therapist:'}")
    return asking, helping


def joined(turns: Sequence[Turn]) -> list[Turn]:
    """Turns in a row of one speaker as one; those without a word are left out."""
    out: list[Turn] = []
    for turn in turns:
        if not turn.text:
            continue
        if out and out[-1].speaker == turn.speaker:
            out[-1] = Turn(turn.speaker, f"{out[-1].text}\n{turn.text}", out[-1].line)
        else:
            out.append(turn)
    return out


def exchanges(turns: Sequence[Turn], roles: Mapping[str, str]) -> Exchanges:
    """The turns by role (`user` or `assistant`), from the first that asks to the last that is answered.

    Raises Fault if nobody asks and is answered.
    """
    said = joined([replace(turn, speaker=roles[turn.speaker]) for turn in turns])
    opening = next((i for i, turn in enumerate(said) if turn.speaker == "user"), len(said))
    end = next((i for i in range(len(said), opening, -1) if said[i - 1].speaker == "assistant"), opening)
    if end - opening < 2:
        raise Fault("turns", "hold no exchange: nobody asks and is answered")
    return Exchanges(said[opening:end], sum(not t.text for t in turns), opening, len(said) - end)


def windows(turns: Sequence[Turn], max_chars: int = WINDOW_CHARS) -> list[Sequence[Turn]]:
    """Runs of whole exchanges, each of at most `max_chars`; one exchange that is longer stays whole."""
    starts = [i for i, turn in enumerate(turns) if turn.speaker == "user"] + [len(turns)]
    cuts, size = [0], 0
    for start, stop in pairwise(starts):
        length = sum(len(turn.text) for turn in turns[start:stop])
        if size and size + length > max_chars:
            cuts.append(start)
            size = 0
        size += length
    return [turns[start:stop] for start, stop in pairwise([*cuts, len(turns)])]
