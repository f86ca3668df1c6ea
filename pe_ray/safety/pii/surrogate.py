"""What stands in the place of personal data: of the same type, harmless, and the same wherever the value is the same.

A surrogate follows from HMAC-SHA256 of the type and the normalised value, so one key gives one mapping over a whole
corpus, and nobody without it can test a guess. A surrogate is its own surrogate: masking a text twice changes nothing
more. The price is that a value which looks like one stays, such as a client whose real name is in the pool: by the
weights of Faker's list 4 in 100 women, 3 in 100 men and 4 in 100 family names, and nobody can tell which they are.

Names keep their shape, word by word ("Anna Smith" and then "Anna" agree), and their gender where the lists know it, so
that pronouns still fit. Dates of birth keep the year. What has no safe value becomes a tag: [card-fmkbdoca].
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from functools import cache

from pe_ray.safety.pii.cues import WORD
from pe_ray.safety.pii.lexicon import Lexicon, data, fold, lexicon
from pe_ray.safety.pii.places import without_day

AREAS = ("202", "303", "404", "505", "606", "707", "808", "909")

TAG = r"[a-p]{8}"
FIXED = {
    "email": re.compile(rf"user-{TAG}@example\.org"),
    "url": re.compile(rf"https://example\.org/{TAG}"),
    "username": re.compile(rf"(?:@|/?u/)?user_{TAG}"),
    "phone": re.compile(rf"(?:{'|'.join(AREAS)})-555-01\d\d"),
    "ssn": re.compile(r"000-00-\d{4}"),
    "ip": re.compile(r"192\.0\.2\.\d{1,3}|2001:db8::[0-9a-f]{1,4}"),
    "mac": re.compile(r"00:00:5E:00:53:[0-9A-F]{2}"),
    "address": re.compile(r"\d{1,3} Example Street"),
    "zip": re.compile(r"00000|ZZ99 9ZZ"),
}
TAGGED = re.compile(rf"\[[a-z-]+-{TAG}\]")
"""What a surrogate of each type looks like: the documentation ranges of RFC 2606, 5737, 3849, 7042, and 555-01xx."""


def surrogate(kind: str, value: str, key: bytes) -> str:
    """The value's stand-in. Raises ValueError for an empty key: everybody could then test a guess."""
    if not key:
        raise ValueError("the key of the surrogates is empty; give at least 16 random bytes")
    if kind == "name":
        return _name(value, key)
    if kind == "birth_date":
        return without_day(value)
    if FIXED.get(kind, TAGGED).fullmatch(value):
        return value
    seed = _seed(kind, _normalise(kind, value), key)
    return MAKERS[kind](seed, value) if kind in MAKERS else f"[{kind.replace('_', '-')}-{_tag(seed)}]"


MAKERS: dict[str, Callable[[bytes, str], str]] = {
    "email": lambda seed, _: f"user-{_tag(seed)}@example.org",
    "url": lambda seed, _: f"https://example.org/{_tag(seed)}",
    "username": lambda seed, value: f"{re.match(r'@|/?u/|', value).group()}user_{_tag(seed)}",  # type: ignore[union-attr]
    "phone": lambda seed, _: f"{AREAS[seed[0] % len(AREAS)]}-555-01{seed[1] % 100:02d}",
    "ssn": lambda seed, _: f"000-00-{int.from_bytes(seed[:2], 'big') % 10_000:04d}",
    "ip": lambda seed, value: (
        f"2001:db8::{seed[:2].hex().lstrip('0') or '0'}" if ":" in value else f"192.0.2.{seed[0]}"
    ),
    "mac": lambda seed, _: f"00:00:5E:00:53:{seed[0]:02X}",
    "address": lambda seed, _: f"{int.from_bytes(seed[:2], 'big') % 999 + 1} Example Street",
    "zip": lambda _, value: "ZZ99 9ZZ" if value[0].isalpha() else "00000",
}


def _name(value: str, key: bytes) -> str:
    """Each capitalised word by itself: the last of several is the family name, particles and hyphens stay."""
    lex = lexicon()
    words = list(WORD.finditer(value)) or list(re.finditer(r"\w+", value))
    pieces, start = [], 0
    for number, match in enumerate(words):
        is_family = number == len(words) - 1 and (number > 0 or _is_family_alone(fold(match.group()), lex))
        pieces += [value[start : match.start()], _name_word(match.group(), is_family, key, lex)]
        start = match.end()
    return "".join([*pieces, value[start:]])


def _is_family_alone(folded: str, lex: Lexicon) -> bool:
    return folded not in lex.given and (folded in lex.family or "'" in folded or folded.startswith("mc"))


def _name_word(word: str, is_family: bool, key: bytes, lex: Lexicon) -> str:
    folded = fold(word)
    if len(word) == 1:
        return "X"
    if folded in _reserved():
        return word
    pools = data("names")
    if is_family:
        kind, pool = "family", pools["surrogate_family"]
    else:
        kind, pool = "given", _pool(folded.split("-")[0], lex)
    chosen: str = pool[int.from_bytes(_seed(kind, folded, key)[:4], "big") % len(pool)]
    return chosen.upper() if word.isupper() else chosen.lower() if word.islower() else chosen


def _pool(folded: str, lex: Lexicon) -> list[str]:
    pools = data("names")
    female, male = folded in lex.female, folded in lex.male
    if female == male:
        return [*pools["surrogate_female"], *pools["surrogate_male"]]
    return list(pools["surrogate_female" if female else "surrogate_male"])


@cache
def _reserved() -> frozenset[str]:
    return frozenset(fold(n) for pool in ("female", "male", "family") for n in data("names")[f"surrogate_{pool}"])


def _normalise(kind: str, value: str) -> str:
    if kind in ("phone", "ssn", "card"):
        digits = re.sub(r"\D", "", value)
        return digits[-10:] if kind == "phone" else digits
    return re.sub(r"\s+", " ", value.casefold()).strip()


def _seed(kind: str, normalised: str, key: bytes) -> bytes:
    return hmac.digest(key, f"{kind}\0{normalised}".encode("utf-8", "surrogatepass"), "sha256")


def _tag(seed: bytes) -> str:
    """Eight letters a to p: without digits, so that no pattern takes a tag for a number."""
    return "".join(chr(97 + (b & 15)) for b in seed[:8])
