"""Captions: words on a screen for a while. Who says them may stand in the words, and often does not.

- `ANNA: words`, `[Anna] words`: a label is believed if it is a role (`THERAPIST:`), or if it is one of at least two
  that come back and together open a tenth of the captions; "Remember: ..." is no speaker. Captions without a label go
  on with the last one.
- `- words`, `>> words`: somebody else speaks, and the file does not say who.
- Rolling captions show a line again while the next one comes up. Lines are folded where the captions touch in time and
  the repetition is a whole line; the cue counts them (`folded`). "No." after "No." is said twice and stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pe_ray.corpus.transcripts.cue import DIRECTION, TAG, Problem, Transcript, add
from pe_ray.corpus.transcripts.roles import is_role

MARK = re.compile(r"^\s*(?:[-–]\s*(?=\S)|(?:>>|&gt;&gt;)+\s*)")
COLON = re.compile(r"^\s*([^\W\d_][\w .,'’&()#-]{0,38}?)\s*:(?:\s+|$)")
BRACKET = re.compile(r"^\s*[\[(]([^\[\]()\n]{1,40})[\])]:?(?:\s+|$)")
MIN_SHARE = 0.1
"""Labels that are no roles must open this share of the captions."""
TOUCH_S = 0.1
"""Captions no further apart than this are one display; what lasts no longer is a refresh of the screen."""
OVERLAP_S = 0.2
MIN_FOLDED_WORDS = 3
"""A line of fewer words is folded only where the two captions certainly are one display: people do say "No. No.\""""


@dataclass(frozen=True)
class Caption:
    """Lines shown between two times; `line` is where they stand in the file."""

    number: int
    line: int
    start_s: float
    end_s: float
    lines: tuple[str, ...] = field(repr=False)
    folded: int = 0

    @property
    def times(self) -> tuple[float, float]:
        return self.start_s, self.end_s

    @property
    def payload(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Piece:
    """Words of one voice inside a caption."""

    label: str
    new_turn: bool
    lines: tuple[str, ...] = field(repr=False)


def fill(transcript: Transcript, shown: Sequence[Caption]) -> None:
    """Captions as cues of the transcript."""
    names = labels(shown)
    speaker, named = "", bool(names)
    for caption in shown if named else fold(shown):
        for piece in _pieces(caption, names):
            speaker = piece.label or ("" if piece.new_turn else speaker)
            if named and not speaker:
                reason = "is missing; other captions of the file begin with a name, and this one follows none"
                transcript.problems.append(Problem(caption.line, "speaker", reason))
                continue
            marks = {"new_turn": piece.new_turn and not named, "folded": caption.folded}
            add(transcript, caption.number, caption.line, caption.times, speaker, "\n".join(piece.lines), **marks)


def labels(shown: Sequence[Caption]) -> frozenset[str]:
    """The speaker labels of a file, as written."""
    seen = Counter(found for c in shown for text in c.lines if (found := _candidate(text)))
    roles = {name for name in seen if is_role(name)}
    others = {name for name, n in seen.items() if n >= 2 and name not in roles and _is_name(name)}
    if len(roles | others) < 2 or sum(seen[n] for n in others) < MIN_SHARE * len(shown):
        others = set()
    return frozenset(roles | others)


def fold(shown: Sequence[Caption]) -> Iterator[Caption]:
    """Captions without the lines that a rolling display repeats; the count moves on to the next that stays."""
    ahead: Caption | None = None
    owed = 0
    last: Caption | None = None
    for caption in shown:
        plain = replace(caption, lines=tuple(t for text in caption.lines if (t := " ".join(TAG.sub("", text).split()))))
        repeated = _repeated(ahead, plain) if ahead else 0
        rest = _without(plain, repeated) if repeated else plain.lines
        ahead = plain if plain.lines else ahead
        owed += bool(repeated)
        if not rest:
            continue
        if last:
            yield last
        last, owed = replace(caption, lines=rest, folded=owed), 0
    if last:
        yield replace(last, folded=last.folded + owed)


def _repeated(ahead: Caption, caption: Caption) -> int:
    """How many words at the head of a caption the one ahead of it has already shown."""
    gap = caption.start_s - ahead.end_s
    if gap > TOUCH_S or not caption.lines or caption.start_s < ahead.start_s:
        return 0
    old, new = _words(ahead.lines), _words(caption.lines)
    found = len(old) if new[: len(old)] == old else 0
    for n in range(min(len(ahead.lines), len(caption.lines)), 0, -1):
        if ahead.lines[-n:] == caption.lines[:n]:
            found = max(found, len(_words(caption.lines[:n])))
            break
    short = caption.end_s - caption.start_s <= TOUCH_S or ahead.end_s - ahead.start_s <= TOUCH_S
    several = len(caption.lines) > 1 or len(ahead.lines) > 1
    return found if found >= MIN_FOLDED_WORDS or short or several or gap < -OVERLAP_S else 0


def _without(caption: Caption, repeated: int) -> tuple[str, ...]:
    rest = " ".join(_words(caption.lines)[repeated:])
    return (rest,) if rest else ()


def _words(lines: Sequence[str]) -> list[str]:
    return " ".join(lines).split()


def _pieces(caption: Caption, names: frozenset[str]) -> list[Piece]:
    pieces: list[Piece] = []
    for text in caption.lines:
        mark = MARK.match(text)
        label = _candidate(text)
        if label in names:
            pieces.append(Piece(label or "", True, (_after_label(text),)))
        elif mark:
            pieces.append(Piece("", True, (text[mark.end() :],)))
        elif pieces:
            pieces[-1] = replace(pieces[-1], lines=(*pieces[-1].lines, text))
        else:
            pieces.append(Piece("", False, (text,)))
    return pieces


def _candidate(text: str) -> str | None:
    body = _bare(text)
    found = BRACKET.match(body) or COLON.match(body)
    return None if not found or DIRECTION.fullmatch(found[1].strip()) else found[1].strip()


def _after_label(text: str) -> str:
    body = _bare(text)
    found = BRACKET.match(body) or COLON.match(body)
    assert found
    return body[found.end() :]


def _bare(text: str) -> str:
    plain = TAG.sub("", text)
    mark = MARK.match(plain)
    return plain[mark.end() :] if mark else plain


def _is_name(label: str) -> bool:
    parts = label.replace(".", " ").split()
    return 1 <= len(parts) <= 4 and all(p[0].isupper() or p[0].isdigit() or p[0] in "(#&" for p in parts)
