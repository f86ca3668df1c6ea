"""Exact duplicates: the same conversation, whatever its case, punctuation and spaces.

`apply` writes the keys that later, global steps need, so that no text has to be gathered; `survivors` looks at the keys
alone. Cleaning comes first: only .3 % of the true duplicates between two releases of a public set were equal byte for
byte, 98 % after cleaning.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
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
    of a corpus follows its content. `group`: records that must stay on one side of the train/validation split (a
    recording, or every answer to one question).
    """
    turns = Turns.of(table)
    roles, texts = turns.roles.to_pylist(), turns.texts.to_pylist()
    said = [_part(words) for words in _normalised(turns.texts, texts)]
    role_parts = {role: _part(role) for role in set(roles)}
    said_as = [role_parts[role] + words for role, words in zip(roles, said, strict=True)]
    held_as = [role_parts[role] + _part(text) for role, text in zip(roles, texts, strict=True)]
    labels = [table[name].to_pylist() for name in LABELS]
    label_parts = [b"".join(map(_part, row)) for row in zip(*labels, strict=True)]
    recordings = _recordings(table)
    keys: dict[str, list[str]] = {"text_key": [], "row_key": [], "group": []}
    for record, (start, end) in enumerate(pairwise(turns.offsets.tolist())):
        question = next((i for i in range(start, end) if roles[i] == "user"), start)
        keys["text_key"].append(_digest(b"".join(said_as[start:end])))
        keys["row_key"].append(_digest(label_parts[record] + b"".join(held_as[start:end])))
        keys["group"].append(recordings.get(record) or _digest(said[question]))
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


def _recordings(table: pa.Table) -> dict[int, str]:
    """The group of each record that was cut from a recording."""
    metadata = table["metadata"].combine_chunks()
    named = np.flatnonzero(pc.match_substring(metadata, '"recording"').to_numpy(zero_copy_only=False))
    sources = table["source"].take(named).to_pylist()
    recordings = [json.loads(m).get("recording") for m in metadata.take(named).to_pylist()]
    return {n: digest(s, r) for n, s, r in zip(named.tolist(), sources, recordings, strict=True) if r}


def normalise(text: str) -> str:
    """Words in lower case with one space between; a text without any word is left as it is."""
    folded = NOT_A_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return folded or text


def survivors(text_keys: Sequence[str | None], ids: Sequence[str], row_keys: Sequence[str]) -> list[int]:
    """For each row the index of the row that stands for it: the one with the smallest id of its text.

    A row without a key (null) stands for itself. Equal ids, as when one file is listed twice, fall to the smaller
    `row_key`, so that the order of reading never matters to what survives.
    """
    best: dict[str, int] = {}
    for i, key in enumerate(text_keys):
        if key is not None:
            j = best.get(key, i)
            best[key] = min(j, i, key=lambda n: (ids[n], row_keys[n]))
    return [i if key is None else best[key] for i, key in enumerate(text_keys)]
