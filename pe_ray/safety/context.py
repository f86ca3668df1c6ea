"""What surrounds a match: is it denied, long past, said of somebody else, or a story?

A few word lists and a walk to the left of the match. The texts are normalised (`safety/normalise`), so "don't" reads
"do not" and punctuation stands apart. Where a list is unsure the answer is "no such context": a warning is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from pe_ray.safety.rules import any_of, words

_WORDS = words()["context"]
FIRST, OTHERS = frozenset(_WORDS["first"]), frozenset(_WORDS["others"])
NEGATORS, NOT_NEGATING = frozenset(_WORDS["negators"]), frozenset(_WORDS["not_negating"])
THINKING, BREAKS = frozenset(_WORDS["thinking"]), frozenset(_WORDS["breaks"])
HOLDING_BACK = frozenset(_WORDS["holding_back"])
STARTS_ANEW, THIRD_PERSON = frozenset(_WORDS["starts_anew"]), frozenset(_WORDS["third_person"])
PAST, PRESENT, PAST_TENSE, WAS_ASKED, FICTION, RESOLVED, RETURNS = (
    any_of(_WORDS[name]) for name in ("past", "present", "past_tense", "was_asked", "fiction", "resolved", "returns")
)


@dataclass(frozen=True)
class Context:
    """What was found around one match. `subject` is self, other, or none where nobody is named."""

    negated: bool
    past: bool
    fiction: bool
    subject: str


@dataclass(frozen=True)
class Setting:
    """What holds of a whole sentence, whatever is matched in it."""

    past: bool
    fiction: bool


def setting(sentence: str, before: str, after: str) -> Setting:
    """Of a sentence; `before` holds the sentences that precede it, `after` the next one."""
    told = FICTION.search(sentence) is not None or FICTION.search(before) is not None
    return Setting(_past(sentence, before, after), told)


def read(sentence: str, start: int, end: int, before: str, after: str, known: Setting | None = None) -> Context:
    """The context of `sentence[start:end]`; `known` its setting, where somebody has asked for it before."""
    left = sentence[:start].split()
    around = known or setting(sentence, before, after)
    return Context(_negated(left), around.past, around.fiction, _subject(left, sentence[start:end]))


def _negated(left: list[str]) -> bool:
    for back in range(1, min(len(left), 7) + 1):
        word = left[-back]
        following = left[-back + 1] if back > 1 else ""
        if word in NEGATORS and following not in NOT_NEGATING:
            return "why" not in left[:-back][-3:]  # "why should I not ..." asks for it
        if word in NEGATORS and not (following == "long" or following == "one"):
            return False
        if word in BREAKS or word in HOLDING_BACK:
            return False
        if word in ("i", "me") and not _reaches_through(left[:-back]):
            return False
    return False


def _reaches_through(left: list[str]) -> bool:
    """Whether a negation before "... said that" speaks of what follows; it does not before "... know that"."""
    before = left[:-1] if left and left[-1] == "that" else left
    return bool(before) and (before[-1] in THINKING or before[-1] in NEGATORS)


def _subject(left: list[str], matched: str) -> str:
    words_in = matched.split()
    if left.count('"') % 2 == 0 and any(w in FIRST for w in words_in[:2]):
        return "self"
    if words_in and words_in[0] in OTHERS:
        return "other"
    third_person = bool(words_in) and words_in[0] in THIRD_PERSON
    if left.count('"') % 2:  # inside a quotation: whoever is named before it speaks
        opened = len(left) - 1 - left[::-1].index('"')
        speaker = next((w for w in reversed(left[:opened]) if w in FIRST or w in OTHERS), "i")
        return "other" if speaker in OTHERS else "self"
    for word in reversed(left):
        if word in FIRST:
            return "self"
        if word.removesuffix("'s") in OTHERS:
            return "other"
        if word in STARTS_ANEW and not third_person:
            break
    return "other" if third_person else "none"


def _past(sentence: str, before: str, after: str) -> bool:
    if WAS_ASKED.search(sentence):  # "she asked if I was suicidal" reports a question, not an answer
        return True
    around = f"{before} {sentence} {after}"
    if PAST.search(around) and RESOLVED.search(around) and not RETURNS.search(around):
        return True
    if PRESENT.search(sentence) or PRESENT.search(after):
        return False
    if PAST.search(sentence):
        return True
    return PAST_TENSE.search(sentence) is not None and PAST.search(before) is not None and not PRESENT.search(before)
