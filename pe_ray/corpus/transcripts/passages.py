"""One voice, cut into passages: where the speaker asks and answers, a pair; everywhere else, passages of 60-400 words.

A question is a sentence that opens like one, ends with a question mark and has something to talk about ("Right?" has
not). It is a pair with what follows only if that plainly answers: at least 20 words, which take up a word of the
question in their first two sentences or begin with because, yes or no. Any other question stays where it was said.

Sentences end at a full stop, or, where a recogniser wrote none, at a pause. Nothing is dropped: a rest too short for a
passage joins the one before it, and a lead-in too short for one is counted in the first record (`opening_words`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from pe_ray.corpus.qa.asking import asks
from pe_ray.corpus.quality import words as vocabulary
from pe_ray.corpus.transcripts.cue import Cue

MIN_WORDS = 60
TARGET_WORDS = 180
MAX_WORDS = 400
MIN_ANSWER_WORDS = 20
PAUSE_S = 1.0
LONG_SENTENCE = 60
"""From here on a sentence ends with its cue, and at twice this anywhere: some speakers never stop."""

END = re.compile(r"[.!?…][\"'”’)\]]*$")
ABBREVIATION = re.compile(r"(?:\b(?:dr|mr|mrs|ms|prof|st|vs|etc|e\.g|i\.e|no|approx)|\b[a-z])\.$", re.IGNORECASE)
OPENER = re.compile(
    r"^(?:(?:so|and|but|now|well|okay|then),?\s+)?(?:what|why|how|when|where|who|which|is|are|was|were|do|does|did|can"
    r"|could|should|would|will|have|has|must|may|isn't|aren't|don't|doesn't|can't|shouldn't)\b",
    re.IGNORECASE,
)
REPLY = re.compile(r"^(?:because|yes|no|not)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Sentence:
    """Words that belong together, and the cues that they come from."""

    text: str = field(repr=False)
    num_words: int
    cues: tuple[Cue, ...] = field(repr=False)
    start: tuple[int, int] = (0, 0)
    """Number of a cue, and the character of its words (one space between two) at which the sentence begins."""
    end: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Passage:
    """Sentences of one voice; `question` is the sentence that they answer, if there is one."""

    sentences: tuple[Sentence, ...] = field(repr=False)
    question: Sentence | None = field(default=None, repr=False)
    opening_words: int = 0

    @property
    def text(self) -> str:
        return " ".join(s.text for s in self.sentences)

    @property
    def num_words(self) -> int:
        return sum(s.num_words for s in self.sentences)

    @property
    def cues(self) -> list[Cue]:
        """The cues that it is made of, each once, in order."""
        said = [*([self.question] if self.question else []), *self.sentences]
        return list({id(c): c for s in said for c in s.cues}.values())


def passages(cues: Sequence[Cue]) -> list[Passage]:
    """All that is said, in order: pairs of a question and its answer, and passages between them."""
    said = sentences(cues)
    found: list[Passage] = []
    stretch: list[Sentence] = []
    position = 0
    while position < len(said):
        answer = _answer(said, position)
        if answer:
            found = _close(found, stretch)
            found.append(Passage(tuple(answer), said[position]))
            stretch, position = [], position + 1 + len(answer)
        else:
            stretch.append(said[position])
            position += 1
    found = _close(found, stretch)
    lead = found[0] if len(found) > 1 and not found[0].question and found[0].num_words < MIN_WORDS else None
    if lead:
        found[:2] = [Passage(found[1].sentences, found[1].question, lead.num_words)]
    return found


def sentences(cues: Sequence[Cue]) -> list[Sentence]:
    """The cues' words as sentences, which may run over several cues."""
    found: list[Sentence] = []
    words: list[str] = []
    owners: list[Cue] = []
    start = end = (0, 0)
    for word, cue, at, ahead, pause in _flow(cues):
        start = start if words else (cue.number, at)
        end = (cue.number, at + len(word))
        words.append(word)
        if not owners or owners[-1] is not cue:
            owners.append(cue)
        if _ends(words, ahead, pause):
            found.append(Sentence(" ".join(words), len(words), tuple(owners), start, end))
            words, owners = [], []
    if words:
        found.append(Sentence(" ".join(words), len(words), tuple(owners), start, end))
    return found


def _flow(cues: Sequence[Cue]) -> Iterator[tuple[str, Cue, int, str, float | None]]:
    """Each word, its cue, where it stands there, the word after it; at the end of a cue, the pause until the next."""
    spoken = [(cue, cue.text.split()) for cue in cues if cue.text]
    for (cue, words), following in zip_longest(spoken, spoken[1:]):
        ahead = following[1][0] if following else ""
        pause = following[0].start_s - max(cue.start_s, cue.end_s) if following else 0.0
        at = 0
        for i, word in enumerate(words):
            last = i == len(words) - 1
            yield word, cue, at, ahead if last else words[i + 1], pause if last else None
            at += len(word) + 1


def _ends(words: Sequence[str], ahead: str, pause: float | None) -> bool:
    last = words[-1]
    if END.search(last) and not ABBREVIATION.search(last) and (not ahead or not ahead[0].islower()):
        return True
    if pause is not None and (pause >= PAUSE_S or len(words) >= LONG_SENTENCE):
        return True
    return len(words) >= 2 * LONG_SENTENCE


def _answer(said: Sequence[Sentence], position: int) -> list[Sentence]:
    """The sentences that answer the one at `position`; none if it asks nothing, or nothing answers it."""
    question = said[position]
    topic = vocabulary.content(question.text)
    roots = {root for root, weight in topic.items() if weight >= 1}
    opens = question.text.endswith("?") and OPENER.match(question.text)
    if not (question.num_words >= 4 and roots and opens and asks(question.text)):
        return []
    answer: list[Sentence] = []
    for sentence in said[position + 1 :]:
        if sentence.text.endswith("?") and OPENER.match(sentence.text):
            break
        answer.append(sentence)
        if sum(s.num_words for s in answer) >= TARGET_WORDS:
            break
    opening = " ".join(s.text for s in answer[:2])
    taken_up = bool(roots & vocabulary.content(opening).keys()) or bool(REPLY.match(opening))
    return answer if taken_up and sum(s.num_words for s in answer) >= MIN_ANSWER_WORDS else []


def _close(found: list[Passage], stretch: Sequence[Sentence]) -> list[Passage]:
    """Append what was said since the last pair; what is too short for a passage joins the one before it."""
    cut: list[list[Sentence]] = []
    for sentence in stretch:
        if not cut or sum(s.num_words for s in cut[-1]) >= TARGET_WORDS:
            cut.append([])
        cut[-1].append(sentence)
    for part in cut:
        size = sum(s.num_words for s in part)
        if found and size < MIN_WORDS and found[-1].num_words + size <= MAX_WORDS:
            last = found[-1]
            found[-1] = Passage((*last.sentences, *part), last.question, last.opening_words)
        else:
            found.append(Passage(tuple(part)))
    return found
