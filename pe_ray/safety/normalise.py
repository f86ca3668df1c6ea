"""Text as the safety rules read it: lower case, contractions written out, disguises taken off.

    normalise("I'm gonna k1ll mys3lf").text == "i am going to kill myself"

Rules then need one spelling each. Disguises are full-width and accented letters, Cyrillic and Greek look-alikes,
zero-width characters, letters set apart, leetspeak, stars for letters, stretched letters, and the words that people use
to pass a filter. Folding happens per word and only towards words that a rule looks for, so that "10mg" and "C3PO" stay.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from pe_ray.safety.rules import words

_WORDS = words()["normalise"]
RISK_WORDS: frozenset[str] = frozenset(_WORDS["risk"])
"""What disguised words are folded towards."""
LONG_WORDS: frozenset[str] = frozenset(_WORDS["long"])
"""What a slip of the hand is folded towards."""
NEIGHBOURS: frozenset[str] = frozenset(_WORDS["neighbours"])
GLUE_WORDS: frozenset[str] = frozenset(_WORDS["glue"])
APART_WORDS, LONGEST = RISK_WORDS | GLUE_WORDS, max(len(w) for w in RISK_WORDS)
SPELLINGS: dict[str, str] = _WORDS["spellings"]
BEFORE_TO, IS_AFTER = frozenset(_WORDS["before_to"]), frozenset(_WORDS["is_after"])

CONTRACTIONS = {"n't": "not", "'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'d": "would"}

LEET = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "l", "+": "t"}
)
LOOKALIKES = str.maketrans(
    "аеорсухіѕјԁһкмтвңпαεοριυκνт" + "‘’ʼ`´“”„«»–—",
    "aeopcyxisjdhkmtbhnaeopiukvt" + "'''''" + '"""""' + ";;",
)
INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
)

APART = re.compile(r"(?<![a-z0-9'])[a-z](?:[ .\-_*]{1,2}[a-z]){3,}(?![a-z0-9'])")
TOKEN = re.compile(r"[@$]?[a-z0-9](?:[a-z0-9'@$!*|+]*[a-z0-9*@$])?(?:-[a-z0-9@$]+)*|\n+|[^\sa-z0-9]")
STRETCH = re.compile(r"([a-z])\1{2,}")

UNUSUAL = (
    r"[^\x00-\x7f\xa0–—‘’“”…]|[@$*|+`]|(?i:![a-z0-9]|[a-z0-9]‘[a-z0-9]|[a-mo-z0-9]['’]t|"
    r"[a-z0-9]['’](?:[a-ce-kn-quw-z0-9]|[tmds][a-z0-9'’-]|[rvl]\z|[rv][^e]|l[^l]|(?:re|ve|ll)[a-z0-9'’-]))"
)
"""What puts more into a word than letters and the endings of `CONTRACTIONS`; for RE2, over a whole column."""
_HYPHENATED = {
    part: [SPELLINGS[key] for key in SPELLINGS if part in key.split("-")]
    for part in {part for key in SPELLINGS if "-" in key for part in key.split("-")}
}
MAY_JOIN, GONE = "\x00", "\x01"
"""Marks of a piece with a letter that stands by itself, and of one of which nothing is left."""
LETTER = re.compile(r"(?<![a-z0-9'])[a-z](?![a-z0-9'])")
NUMBER_WORD = re.compile(rf"(?:^| )(?:{'|'.join(sorted(w.split()[-1] for w in BEFORE_TO))}) [24](?= |$)")
"""Where a 2 could be "to": exactly, after a word that is one of `BEFORE_TO` or ends as one of them does."""
SHORT_PAIRS = (" i i ", " i a ", " a i ", " a a ")
"""One of them stands in every row of four letters set apart that are all "i" or "a"."""
KNOWN_PIECES, LONG_PIECE = 1 << 16, 40
PRIVATE = re.compile(r"\d{3}|@")

Read = TypeVar("Read")


class Pieces(dict[str, Read]):
    """Piece of a text without a space -> what `read` says of it: asked once, remembered, forgotten when too many.

    Long numbers and addresses are not remembered: they seldom come again, and are somebody's.
    """

    def __init__(self, read: Callable[[str], Read]) -> None:
        super().__init__()
        self.read = read

    def __missing__(self, piece: str) -> Read:
        found = self.read(piece)
        if len(self) >= KNOWN_PIECES:
            self.clear()
        if len(piece) <= LONG_PIECE and not PRIVATE.search(piece):
            self[piece] = found
        return found


@dataclass(frozen=True)
class Normalised:
    """The folded text and, for each of its words, where the word begins in it and where it stood in the original."""

    text: str = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    origins: tuple[tuple[int, int], ...] = field(repr=False)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that `text[start:end]` came from."""
        if not self.starts:
            return (0, 0)
        first = max(0, bisect_right(self.starts, start) - 1)
        last = max(first, bisect_right(self.starts, max(start, end - 1)) - 1)
        return self.origins[first][0], self.origins[last][1]


def normalise(text: str) -> Normalised:
    """Fold a text of any origin (lone surrogates and NUL too); cost is linear in its length."""
    folded, index = _characters(text)
    words: list[str] = []
    starts: list[int] = []
    origins: list[tuple[int, int]] = []
    position = 0
    for word, start, end in _tokens(folded):
        if word in ("2", "4") and words and words[-1] in BEFORE_TO:
            word = "to" if word == "2" else "for"
        words.append(word)
        starts.append(position)
        origins.append((index[start], index[end - 1] + 1) if index else (start, end))
        position += len(word) + 1
    return Normalised(" ".join(words), tuple(starts), tuple(origins))


def fold(text: str) -> str:
    """`normalise(text).text`, several times as fast: what stands between two spaces is folded once and remembered."""
    if MAY_JOIN in text or GONE in text:
        return normalise(text).text
    plain = text.lower() if text.isascii() else text.replace("`", "'")  # which is a look-alike there alone
    if "\n" in plain:
        plain = re.sub(r"\n+", " \n ", plain)
    folded = " ".join(map(_PIECES.__getitem__, filter(None, plain.split(" "))))
    apart = MAY_JOIN in folded or any(pair in folded for pair in SHORT_PAIRS)
    if GONE in folded or (apart and APART.search(_characters(text)[0])):
        return normalise(text).text
    folded = folded.replace(MAY_JOIN, "")
    if (" 2" in folded or " 4" in folded) and NUMBER_WORD.search(folded):
        return normalise(text).text
    return folded


def readings(word: str) -> list[str]:
    """All that a word of plain letters and digits may be folded to, if an apostrophe or its neighbours were cut off.

    Holds for texts in which `UNUSUAL` finds nothing and letters are not set apart.
    """
    forms = [word, _word(word), *_HYPHENATED.get(word, ()), *{"2": ["to"], "4": ["for"]}.get(word, ())]
    endings = ((e, e.replace("'", "")) for e in (*CONTRACTIONS, "'s"))
    return forms + [_word(word.removesuffix(bare) + ending) for ending, bare in endings if word.endswith(bare)]


def _fold_piece(piece: str) -> str:
    """A piece of a text without a space, folded, with a mark where its neighbours have a say in it."""
    characters, _ = _characters(piece)
    folded = " ".join(word for word, _, _ in _plain(characters, 0, len(characters))) or GONE
    return folded + MAY_JOIN if _may_be_set_apart(characters) else folded


_PIECES = Pieces(_fold_piece)


def _may_be_set_apart(piece: str) -> bool:
    """Whether a letter of it could belong to a row of letters set apart; "i" and "a" do so in `SHORT_PAIRS` alone."""
    letters = LETTER.findall(piece)
    return len(letters) > 1 or (bool(letters) and (letters[0] not in "ia" or any(c in piece for c in ".-_*")))


def _characters(text: str) -> tuple[str, list[int]]:
    """One folded character per kept character; the index is empty where nothing moved."""
    if text.isascii():
        return text.lower(), []
    folded = text.translate(_CHARACTERS)
    if all(len(_CHARACTERS[ord(c)]) == 1 for c in set(text)):
        return folded, []
    return folded, [i for i, c in enumerate(text) for _ in _CHARACTERS[ord(c)]]


class _Characters(dict[int, str]):
    """Code point -> what it is folded to: nothing, a character, or several; each is worked out once."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kept = "" if _invisible(char) else unicodedata.normalize("NFKD", char)
        folded = "".join(c for c in kept if not unicodedata.combining(c)).translate(LOOKALIKES)
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in folded).translate(LOOKALIKES)
        if len(self) >= KNOWN_PIECES:
            self.clear()
        return self.setdefault(code, lower)


_CHARACTERS = _Characters()


def _invisible(char: str) -> bool:
    return char in INVISIBLE or "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    position = 0
    for run in APART.finditer(text):
        words = _segment(re.sub(r"[^a-z]", "", run.group()))
        if words is None:
            continue
        yield from _plain(text, position, run.start())
        yield " ".join(words), run.start(), run.end()
        position = run.end()
    yield from _plain(text, position, len(text))


def _plain(text: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    for m in TOKEN.finditer(text, start, end):
        raw = m.group()
        yield ("\n" if raw[0] == "\n" else raw if len(raw) == 1 else _word(raw)), m.start(), m.end()


@lru_cache(maxsize=8192)
def _word(raw: str) -> str:
    known = SPELLINGS.get(raw)
    if known is not None:
        return known
    if "'" in raw:
        return _contraction(raw)
    if raw.isalpha():
        return _stretched(raw) if STRETCH.search(raw) else _slipped(raw)
    return _disguised(raw)


def _slipped(raw: str) -> str:
    """A long word of danger that is one letter away: one too many, too few, another, or two changed about."""
    if not LEAST_SLIP <= len(raw) <= MOST_SLIP or raw in LONG_WORDS or raw in RISK_WORDS or raw in NEIGHBOURS:
        return raw
    meant = next((_SLIPS[s] for s in (raw, *_shorter(raw)) if s in _SLIPS and _SLIPS[s][0] == raw[0]), raw)
    return (
        raw if meant.startswith(raw) or raw.startswith(meant) else meant
    )  # "strangle", "overdoses": other forms of it


def _shorter(word: str) -> list[str]:
    return [word[:i] + word[i + 1 :] for i in range(len(word))]


_SLIPS = {slip: word for word in sorted(LONG_WORDS) for slip in (word, *_shorter(word))}
LEAST_SLIP, MOST_SLIP = min(map(len, LONG_WORDS)) - 1, max(map(len, LONG_WORDS)) + 1


def _contraction(raw: str) -> str:
    if raw in ("can't", "won't"):
        return "can not" if raw == "can't" else "will not"
    for ending, word in CONTRACTIONS.items():
        if raw.endswith(ending):
            stem = raw.removesuffix(ending)
            return f"{SPELLINGS.get(stem, stem)} {word}"
    stem, _, rest = raw.partition("'")
    stem = SPELLINGS.get(stem, stem)
    return f"{stem} is" if rest == "s" and stem in IS_AFTER else f"{stem}'{rest}"


def _stretched(raw: str) -> str:
    single = STRETCH.sub(r"\1", raw)
    double = STRETCH.sub(r"\1\1", raw)
    return next((SPELLINGS.get(w, w) for w in (double, single) if w in RISK_WORDS or w in SPELLINGS), double)


def _disguised(raw: str) -> str:
    """A word with digits or signs in it: the risk word that it stands for, or itself."""
    if "*" in raw:
        pattern = re.compile(re.escape(raw).replace(r"\*", "[a-z]"))
        hit = next((w for w in sorted(RISK_WORDS) if len(w) > 2 and pattern.fullmatch(w)), None)
        return hit or raw
    parts = [_undisguise(p) for p in raw.split("-")]
    return "-".join(parts) if "-" in raw and parts == raw.split("-") else " ".join(parts)


def _undisguise(raw: str) -> str:
    if raw.isalpha() or not any(c.isalpha() for c in raw):
        return SPELLINGS.get(raw, raw)
    for ones in ("i", "l"):
        plain = raw.replace("1", ones).translate(LEET)
        plain = STRETCH.sub(r"\1\1", plain)
        if plain in RISK_WORDS or plain in SPELLINGS:
            return SPELLINGS.get(plain, plain)
    return raw


def _segment(letters: str) -> list[str] | None:
    """Letters that were set apart as words, or None where they are no words (an abbreviation, a list)."""
    step: dict[int, int] = {len(letters): 0}  # from here on it is words, and this long is the first
    for start in range(len(letters) - 1, -1, -1):
        for size in range(min(LONGEST, len(letters) - start), 0, -1):
            if start + size in step and letters[start : start + size] in APART_WORDS:
                step[start] = size
                break
    if 0 not in step:
        return None
    found, start = [], 0
    while start < len(letters):
        word = letters[start : start + step[start]]
        found.append(SPELLINGS.get(word, word))
        start += step[start]
    return found
