"""Interviews and podcasts: who asks, who answers, and how far an answer runs.

A host's "That must have been odd." between two turns of the guest asks nothing, so it cuts no answer: it is kept with
the back-channels, and the guest's turns are one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pe_ray.corpus.qa.asking import asks
from pe_ray.corpus.row import Fault
from pe_ray.corpus.transcripts.cue import Cue
from pe_ray.corpus.transcripts.passages import Sentence, sentences
from pe_ray.corpus.transcripts.turns import Dialogue, Exchange, Turn

KINDS = ("interview", "podcast")
ASKERS = ("host", "co-host", "interviewer", "moderator", "presenter", "journalist", "reporter", "anchor")
"""Who asks, by the first word of the speaker's name."""
MOST_COMMENT_WORDS = 25
"""A longer turn is answered even where it asks nothing: a listener's letter, somebody's own story."""
CLEAR_SHARE = 2.0
"""Where no name says who asks: one whose turns ask so many times as often as anybody else's."""


def answering(cues: Sequence[Cue]) -> set[str]:
    """Those who answer: everybody but who asks; nobody where that is not plain."""
    names = {cue.speaker for cue in cues if cue.text}
    askers = {name for name in names if name.casefold().replace("-", "").split(" ")[0] in _bare()}
    if not askers:
        askers = _by_questions(cues, names)
    return names - askers if askers and names - askers else set()


def joined(talk: Dialogue) -> Dialogue:
    """Exchanges that begin with a question or a long turn; a short one that asks nothing cuts no answer.

    Raises Fault if nobody asks.
    """
    found: list[Exchange] = []
    opening = talk.opening
    for exchange in talk.exchanges:
        if questions(exchange) or _tells(exchange):
            found.append(exchange)
        elif found:
            last = found[-1]
            last.helping.extend(exchange.helping)
            last.back_channels.extend(cue for turn in exchange.asking for cue in turn.cues)
            last.back_channels.extend(exchange.back_channels)
        else:
            opening += len(exchange.asking) + len(exchange.helping)
    if not found:
        raise Fault("cues", "hold no exchange: nobody asks anything")
    return replace(talk, exchanges=tuple(found), opening=opening)


def questions(exchange: Exchange) -> list[Sentence]:
    """The last run of questions in what was asked: questions in a row are one, and the last is what is answered."""
    found: list[Sentence] = []
    for turn in exchange.asking:
        for sentence in sentences(turn.cues):
            if asks(sentence.text):
                found.append(sentence)
            elif found and sentence.num_words > 8:
                found = []  # they went on to something else
    return found or [s for turn in exchange.asking for s in sentences(turn.cues) if asks(s.text)]


def said(turns: Sequence[Turn]) -> list[Sentence]:
    """All sentences of some turns."""
    return [sentence for turn in turns for sentence in sentences(turn.cues)]


def _tells(exchange: Exchange) -> bool:
    return sum(len(turn.text.split()) for turn in exchange.asking) > MOST_COMMENT_WORDS


def _by_questions(cues: Sequence[Cue], names: set[str]) -> set[str]:
    asked = dict.fromkeys(names, 0)
    total = dict.fromkeys(names, 0)
    for cue in cues:
        if cue.text:
            total[cue.speaker] += 1
            asked[cue.speaker] += any(asks(sentence.text) for sentence in sentences([cue]))
    share = sorted(((asked[n] / total[n], n) for n in names), reverse=True)
    if len(share) < 2 or not share[0][0] or share[0][0] < CLEAR_SHARE * share[1][0]:
        return set()
    return {share[0][1]}


def _bare() -> set[str]:
    return {name.replace("-", "") for name in ASKERS}
