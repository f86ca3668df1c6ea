"""Recorded conversations as WebVTT transcripts: a record for each exchange of somebody who asks and somebody who helps.

    WEBVTT

    NOTE
    title: Two minds about smoking
    content_type: transcript
    language: en

    00:00:04.200 --> 00:00:18.900
    <v Client>So, um, my wife basically booked this.

Consecutive cues of a speaker are one turn. Turns of those who ask, then the turns of the helper, are one exchange. Real
transcripts are untidy, and what they lose or hide is noted in the record's metadata:

- a short back-channel ("Mm-hmm.") inside the other's turn is no reply and does not cut the turn: `back_channels`;
- stage directions in brackets ("[laughs]", "[unintelligible 00:12]") are no words: `stage_directions`;
- a time that runs backwards is counted, and never makes a negative duration: `negative_time_steps`;
- turns without a counterpart are counted: `opening_turns` (a helper who speaks first), `unanswered_turns` (the end).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import ReadPlan, SourceFile, Unreadable, make_record, plan_files, read_text
from pe_ray.corpus.row import Fault, one_of
from pe_ray.corpus.vtt import Cue, parse
from pe_ray.record import CONTENT_TYPES, Record

HELPERS = ("supervisor", "psychologist", "counsellor", "counselor", "therapist")
"""Who helps, by the first word of the speaker's name. Where only helpers speak, the first in this list is the helper
and the others ask (a therapist brings a case to a supervisor)."""

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


def plan(spec: SourceSpec) -> ReadPlan:
    """The .vtt files of a spec."""
    return plan_files(spec, ".vtt")


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """A record per exchange; its offset is the number of its first cue, from 1."""
    for file in (part or plan(spec)).files:
        yield from _read_file(spec, file)


def _read_file(spec: SourceSpec, file: SourceFile) -> Iterator[Record | Unreadable]:
    words = read_text(spec, file)
    if isinstance(words, Unreadable):
        yield words
        return
    transcript = parse(words)
    for problem in transcript.problems:
        yield Unreadable(spec.kind, file.uri, problem.line, problem.field, problem.reason)
    if not transcript.cues:
        if not transcript.problems:
            yield Unreadable(spec.kind, file.uri, 0, "cues", "none in the file; cues of <v Speaker>words are wanted")
        return
    try:
        content_type = one_of("content_type", transcript.notes.get("content_type", "transcript"), CONTENT_TYPES)
        exchanges, opening, unanswered = _exchanges(transcript.cues)
    except Fault as fault:
        yield Unreadable(spec.kind, file.uri, 0, fault.name, fault.reason)
        return
    for number, exchange in enumerate(exchanges):
        metadata = _metadata(exchange) | {
            "title": transcript.notes.get("title", ""),
            "language": transcript.notes.get("language", ""),
            "recording": file.uri,  # one recording is never split between training and validation
        }
        if opening and number == 0:
            metadata["opening_turns"] = str(opening)
        if unanswered and number == len(exchanges) - 1:
            metadata["unanswered_turns"] = str(unanswered)
        yield _record(spec, file, content_type, exchange, metadata)


def _record(
    spec: SourceSpec, file: SourceFile, content_type: str, exchange: Exchange, metadata: dict[str, str]
) -> Record:
    several = len({t.speaker for t in exchange.asking}) > 1
    question = "\n".join(f"{t.speaker}: {t.text}" if several else t.text for t in exchange.asking)
    return make_record(
        spec,
        file,
        exchange.asking[0].cues[0].number,
        domain="mental_health",
        content_type=content_type,
        messages=[("user", question), ("assistant", "\n".join(t.text for t in exchange.helping))],
        metadata={k: v for k, v in metadata.items() if v} | {"question": "extracted"},
    )


def _exchanges(cues: Sequence[Cue]) -> tuple[list[Exchange], int, int]:
    """Exchanges in order, and how many turns stood before the first question and after the last answer."""
    helpers = _helpers(cues)
    turns, murmurs = _turns(cues, helpers)
    exchanges, opening = [Exchange()], 0
    for turn in turns:
        last = exchanges[-1]
        if turn.speaker in helpers:
            if last.asking:
                last.helping.append(turn)
            else:
                opening += 1
        elif last.helping:
            exchanges.append(Exchange(asking=[turn]))
        else:
            last.asking.append(turn)
    unanswered = 0 if exchanges[-1].helping else len(exchanges.pop().asking)
    if not exchanges:
        raise Fault("cues", f"hold no exchange: nobody asks and is answered by one of {', '.join(HELPERS)}")
    starts = [e.asking[0].cues[0].number for e in exchanges]
    for cue in murmurs:
        owner = max((i for i, start in enumerate(starts) if start <= cue.number), default=0)
        exchanges[owner].back_channels.append(cue)
    return exchanges, opening, unanswered


def _helpers(cues: Sequence[Cue]) -> set[str]:
    speakers = {c.speaker for c in cues}
    rank = {s: HELPERS.index(w) for s in speakers if (w := s.casefold().split()[0].rstrip(":.,")) in HELPERS}
    if len(rank) == len(speakers) and len(set(rank.values())) > 1:
        return {s for s in rank if rank[s] == min(rank.values())}
    return set(rank)


def _turns(cues: Sequence[Cue], helpers: set[str]) -> tuple[list[Turn], list[Cue]]:
    """Turns, and the cues that are none: back-channels, and stage directions that stand alone."""
    turns: list[Turn] = []
    murmurs: list[Cue] = []
    for position, cue in enumerate(cues):
        if not cue.text or _is_back_channel(cues, position, helpers, turns):
            murmurs.append(cue)
        elif turns and turns[-1].speaker == cue.speaker:
            turns[-1] = replace(turns[-1], cues=(*turns[-1].cues, cue))
        else:
            turns.append(Turn(cue.speaker, (cue,)))
    return turns, murmurs


def _is_back_channel(cues: Sequence[Cue], position: int, helpers: set[str], turns: Sequence[Turn]) -> bool:
    """A murmur between two cues of the same other speaker, or at the end."""
    cue = cues[position]
    if not turns or turns[-1].speaker == cue.speaker or not _is_murmur(cue, helpers):
        return False
    rest = (c for c in cues[position + 1 :] if c.text and not (c.speaker == cue.speaker and _is_murmur(c, helpers)))
    return next((c.speaker for c in rest), turns[-1].speaker) == turns[-1].speaker


def _is_murmur(cue: Cue, helpers: set[str]) -> bool:
    words = cue.text.casefold().replace("…", "").strip(" .,!?-")
    return words in (ACKNOWLEDGEMENTS if cue.speaker in helpers else MURMURS)


def _metadata(exchange: Exchange) -> dict[str, str]:
    cues = sorted((c for t in (*exchange.asking, *exchange.helping) for c in t.cues), key=lambda c: c.number)
    start = min(c.start_s for c in cues)
    end = max(start, *(c.end_s for c in cues))
    backwards = sum(c.runs_backwards for c in cues)
    directions = [d for c in (*cues, *exchange.back_channels) for d in c.stage_directions]
    spoken = [{"cue": c.number, "speaker": c.speaker, "text": c.text} for c in exchange.back_channels if c.text]
    return {
        "start": f"{start:.3f}",
        "end": f"{end:.3f}",
        "speaker": ",".join(dict.fromkeys(t.speaker for t in exchange.asking)),
        "helper": ",".join(dict.fromkeys(t.speaker for t in exchange.helping)),
        "cues": str(len(cues)),
        "negative_time_steps": str(backwards) if backwards else "",
        "stage_directions": str(len(directions)) if directions else "",
        "back_channels": json.dumps(spoken, ensure_ascii=False) if spoken else "",
    }
