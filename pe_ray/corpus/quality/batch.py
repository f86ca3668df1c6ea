"""What the row checks share of a batch: who says what in each record, and the words of either side, read once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.columns import Turns
from pe_ray.corpus.quality.vocabulary import Read, Vocabulary


@dataclass(frozen=True)
class Side:
    """(N,) everything that one role says in each record, and what was read in it."""

    texts: list[str]
    read: Read


@dataclass(frozen=True)
class Batch:
    """N records as the checks see them."""

    domains: list[str]
    formed: list[bool]
    """Whether a record is knowledge whose question was formed for it."""
    user: Side
    assistant: Side
    vocabulary: Vocabulary

    @classmethod
    def of(cls, table: pa.Table, vocabulary: Vocabulary) -> Batch:
        """Read a table of records."""
        vocabulary.trim()
        turns = Turns.of(table)
        user, assistant = turns.said_by("user"), turns.said_by("assistant")
        read, num = vocabulary.read([*user, *assistant]), len(user)
        sides = (Side(user, read.part(0, num)), Side(assistant, read.part(num, 2 * num)))
        return cls(table["domain"].to_pylist(), _formed(table), *sides, vocabulary)

    def __len__(self) -> int:
        return len(self.domains)


def is_formed(content_type: str, question: str | None) -> bool:
    """Such a question belongs to no other answer: it was made for this one."""
    return content_type == "knowledge" and question == "contextual"


def _formed(table: pa.Table) -> list[bool]:
    found = [False] * len(table)
    for row in np.flatnonzero(pc.equal(table["content_type"], "knowledge").to_numpy(zero_copy_only=False)).tolist():
        found[row] = is_formed("knowledge", json.loads(table["metadata"][row].as_py()).get("question"))
    return found


def matching(texts: Sequence[str] | pa.StringArray, pattern: str) -> NDArray[np.bool_]:
    """Whether a pattern of RE2 is found in each text."""
    column = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    found: NDArray[np.bool_] = pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False)
    return found
