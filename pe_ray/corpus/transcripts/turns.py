"""Turns, and exchanges of those who ask and those who help.

Turns of those who ask, then the turns of the helper, are one exchange. A short back-channel ("Mm-hmm.") inside the
other's turn is no reply and does not cut the turn; stage directions that stand alone cut nothing either. Nothing is
dropped for being short: "Yes." after a question is an answer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from pe_ray.corpus.row import Fault
from pe_ray.corpus.transcripts.cue import Cue
from pe_ray.corpus.transcripts.roles import HELPERS, Said, swapped

MURMURS = frozenset({"mm", "mmm", "hm", "hmm", "mhm", "mm-hmm", "mm-hm", "uh-huh"})
"""Of somebody who asks, only a murmur is a back-channel: their "yes" may be an answer."""
ACKNOWLEDGEMENTS = MURMURS | {
    *("yes", "yeah", "yep", "okay", "ok", "right", "sure", "indeed", "really"),
    *("i see", "go on", "of course", "yeah, yeah", "yes, yes", "right, right"),
}


@dataclass(frozen=True)
class Turn:
    """Consecutive cues of one speaker."""

    speaker: str
    cues: tuple[Cue, ...] = field(repr=False)

    @property
    def text(self) -> str:
        return " ".join(c.text for c in self.cues)


@dataclass
class Exchange:
    """Turns of those who ask, then of the helper, and the back-channels in between."""

    asking: list[Turn] = field(default_factory=list)
    helping: list[Turn] = field(default_factory=list)
    back_channels: list[Cue] = field(default_factory=list)
    swapped: int = 0
    """Turns that lie in a run which speaks against its labels."""

    @property
    def first(self) -> Cue:
        return self.asking[0].cues[0]

    @property
    def cues(self) -> list[Cue]:
        return sorted((c for t in (*self.asking, *self.helping) for c in t.cues), key=lambda c: c.number)


@dataclass(frozen=True)
class Dialogue:
    """The exchanges of a recording, and how many turns stand before the first question and after the last answer."""

    exchanges: tuple[Exchange, ...]
    opening: int = 0
    unanswered: int = 0


def dialogue(cues: Sequence[Cue], helpers: set[str], *, check_labels: bool = False) -> Dialogue:
    """Exchanges in order; raises Fault if there is none.

    With `check_labels`, exchanges are marked where a run of turns speaks against its labels.
    """
    turns, murmurs = turns_of(cues, helpers)
    against = swapped([Said(t.speaker, t.text) for t in turns], helpers) if check_labels else set()
    exchanges, opening = [Exchange()], 0
    for position, turn in enumerate(turns):
        last = exchanges[-1]
        if turn.speaker in helpers and not last.asking:
            opening += 1
            continue
        if turn.speaker not in helpers and last.helping:
            last = Exchange()
            exchanges.append(last)
        (last.helping if turn.speaker in helpers else last.asking).append(turn)
        last.swapped += position in against
    unanswered = 0 if exchanges[-1].helping else len(exchanges.pop().asking)
    if not exchanges:
        raise Fault("cues", f"hold no exchange: nobody asks and is answered by one of {', '.join(HELPERS[:5])}")
    _place(murmurs, exchanges)
    return Dialogue(tuple(exchanges), opening, unanswered)


def between_unnamed(cues: Sequence[Cue]) -> Dialogue:
    """Exchanges where dashes tell turns apart and nobody is named: a turn that asks, and the turn after it.

    Only what certainly belongs together is taken; the other turns are counted as opening or unanswered.
    """
    turns: list[Turn] = []
    for cue in cues:
        if not cue.text:
            continue
        if turns and not cue.new_turn:
            turns[-1] = Turn("", (*turns[-1].cues, cue))
        else:
            turns.append(Turn("", (cue,)))
    exchanges, opening, unanswered, position = [], 0, 0, 0
    while position < len(turns):
        turn = turns[position]
        if turn.text.rstrip("\"'”’) ").endswith("?") and position + 1 < len(turns):
            exchanges.append(Exchange([turn], [turns[position + 1]]))
            position += 2
            continue
        opening, unanswered = (opening, unanswered + 1) if exchanges else (opening + 1, unanswered)
        position += 1
    if not exchanges:
        raise Fault("speaker", "is named nowhere, and no turn asks; name who speaks (THERAPIST: words)")
    return Dialogue(tuple(exchanges), opening, unanswered)


def turns_of(cues: Sequence[Cue], helpers: set[str]) -> tuple[list[Turn], list[Cue]]:
    """Turns, and the cues that are none: back-channels, and stage directions that stand alone."""
    runs: list[list[Cue]] = []
    murmurs: list[Cue] = []
    for position, cue in enumerate(cues):
        current = runs[-1][0].speaker if runs else None
        if not cue.text or _is_back_channel(cues, position, helpers, current):
            murmurs.append(cue)
        elif cue.speaker == current:
            runs[-1].append(cue)
        else:
            runs.append([cue])
    return [Turn(run[0].speaker, tuple(run)) for run in runs], murmurs


def _place(murmurs: Sequence[Cue], exchanges: Sequence[Exchange]) -> None:
    """Each murmur with the last exchange that began before it."""
    starts = [e.first.number for e in exchanges]
    for cue in murmurs:
        exchanges[max(0, bisect_right(starts, cue.number) - 1)].back_channels.append(cue)


def _is_back_channel(cues: Sequence[Cue], position: int, helpers: set[str], current: str | None) -> bool:
    """A murmur between two cues of the same other speaker, or at the end."""
    cue = cues[position]
    if current is None or current == cue.speaker or not _is_murmur(cue, helpers):
        return False
    rest = (cues[i] for i in range(position + 1, len(cues)))
    following = (c.speaker for c in rest if c.text and not (c.speaker == cue.speaker and _is_murmur(c, helpers)))
    return next(following, current) == current


def _is_murmur(cue: Cue, helpers: set[str]) -> bool:
    words = cue.text.casefold().replace("…", "").strip(" .,!?-")
    return words in (ACKNOWLEDGEMENTS if cue.speaker in helpers else MURMURS)
