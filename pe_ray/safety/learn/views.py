"""How a text becomes the tokens that a model is taught with. A model names its view, and reads with it ever after.

A token that begins with `MARK` says something of the whole text (a rule that fired, a capital word); it has no letters
and no neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain

from pe_ray.safety.learn.frames import grouped, targets
from pe_ray.safety.learn.marks import MARK
from pe_ray.safety.learn.signs import signs
from pe_ray.safety.normalise import Pieces, fold

TOKEN = re.compile(r"[a-z0-9]+(?:'[a-z]+)*|\[[a-z]+\]|[^\sa-z0-9]")
STRETCH = re.compile(r"([a-z!?.])\1{2,}")
SHOUT = re.compile(r"\b[A-Z]{3,}\b")
APOSTROPHES = str.maketrans("’‘`", "'''")
FOLDED = re.compile(r"[a-z0-9']+(?:-[a-z0-9']+)*|[^\sa-z0-9']")


def plain(text: str) -> list[str]:
    """Words in small letters, and each sign by itself; stretched letters are cut to two, and shouting is marked."""
    pieces = text.split()
    found = list(chain.from_iterable(map(_PLAIN.__getitem__, pieces)))  # no token reaches over a space
    if not text.islower() and any(map(SHOUT.search, pieces)):
        found.append(f"{MARK}shout")
    return found


_PLAIN = Pieces(lambda piece: TOKEN.findall(STRETCH.sub(r"\1\1", piece.lower().translate(APOSTROPHES))))


def folded(text: str) -> list[str]:
    """As the rules read it: contractions written out and disguises taken off."""
    return FOLDED.findall(fold(text))


VIEWS: dict[str, Callable[[str], list[str]]] = {
    "plain": plain,
    "folded": folded,
    "grouped": grouped,
    "targets": targets,
    "signs": signs,
}
