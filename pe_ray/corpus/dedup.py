"""Exact duplicates: the same conversation, whatever its case, punctuation and spaces.

`apply` writes the keys that later, global steps need, so that no text has to be gathered: duplicates.py looks at the
keys alone. Cleaning comes first: only .3 % of the true duplicates between two releases of a public set were equal byte
for byte, 98 % after cleaning.
"""

from __future__ import annotations

import json
import re
import unicodedata
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pe_ray.corpus.columns import Turns
from pe_ray.record import digest

NOT_A_WORD = re.compile(r"[\W_]+")
CURLY = "[\xa0\u2013\u2014\u2018\u2019\u201c\u201d\u2026]"
EXOTIC = f"[^\x00-\x7f{CURLY[1:]}"  # for RE2, over a whole column
SIGNS = re.compile(CURLY)
WORD_LETTERS = {c: chr(c).lower() if chr(c).isalnum() else " " for c in range(128)}
"""What `normalise` makes of ASCII, character by character."""
LABELS = ("id", "source", "domain", "content_type", "licence", "attribution", "metadata")
"""What a record holds beside its messages; where it stood (`uri`, `offset`) is in its id."""


def apply(table: pa.Table) -> pa.Table:
    """Append three keys.

    `text_key`: equal for equal conversations. `row_key`: digest of all that the record holds, so that the fingerprint
    of a corpus follows its content. `group`: records that must stay on one side of a split (a recording, the
    windows of one conversation, or every answer to one question).
    """
    turns = Turns.of(table)
    roles, texts = turns.roles.to_pylist(), turns.texts.to_pylist()
    said = [_part(words) for words in _normalised(turns.texts, texts)]
    role_parts = {role: _part(role) for role in set(roles)}
    said_as = [role_parts[role] + words for role, words in zip(roles, said, strict=True)]
    held_as = [role_parts[role] + _part(text) for role, text in zip(roles, texts, strict=True)]
    labels = [table[name].to_pylist() for name in LABELS]
    label_parts = [b"".join(map(_part, row)) for row in zip(*labels, strict=True)]
    wholes = _wholes(table)
    keys: dict[str, list[str]] = {"text_key": [], "row_key": [], "group": []}
    for record, (start, end) in enumerate(pairwise(turns.offsets.tolist())):
        question = next((i for i in range(start, end) if roles[i] == "user"), start)
        asked = said[question] if end - start == 2 else b"".join(said[start:end])  # "Hi!" is nobody's question
        keys["text_key"].append(_digest(b"".join(said_as[start:end])))
        keys["row_key"].append(_digest(label_parts[record] + b"".join(held_as[start:end])))
        keys["group"].append(wholes.get(record) or _digest(asked))
    for name, values in keys.items():
        table = table.append_column(name, pa.array(values, pa.string()))
    return table


def _part(text: str) -> bytes:
    """A text as `record.digest` reads it: its length, then its bytes."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(8, "big") + data


def _digest(parts: bytes) -> str:
    """`record.digest` of parts that stand one behind the other."""
    return blake2b(parts, digest_size=16).hexdigest()


def _normalised(column: pa.StringArray, texts: list[str]) -> list[str]:
    """`normalise` of each text; those of plain letters take a short way to the same result."""
    exotic = pc.match_substring_regex(column, EXOTIC).to_pylist()
    return [normalise(t) if far else _normalise_plain(t) for t, far in zip(texts, exotic, strict=True)]


def _normalise_plain(text: str) -> str:
    plain = text if text.isascii() else SIGNS.sub(" ", text)
    return " ".join(plain.translate(WORD_LETTERS).split()) or text


def _wholes(table: pa.Table) -> dict[int, str]:
    """The group of each record that was cut from a recording or a long conversation."""
    metadata = table["metadata"].combine_chunks()
    named = np.flatnonzero(
        pc.match_substring_regex(metadata, '"(?:recording|conversation)"').to_numpy(zero_copy_only=False)
    )
    sources, told = table["source"].take(named).to_pylist(), map(json.loads, metadata.take(named).to_pylist())
    wholes = [m.get("recording") or m.get("conversation") for m in told]
    return {n: digest(s, w) for n, s, w in zip(named.tolist(), sources, wholes, strict=True) if w}


def normalise(text: str) -> str:
    """Words in lower case with one space between; a text without any word is left as it is."""
    folded = NOT_A_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return folded or text
