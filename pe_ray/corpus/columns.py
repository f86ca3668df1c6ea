"""The messages of a table as flat columns, so that a batch stage looks at each text once and at no nested row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pe_ray.record import VERDICT_TYPE, Verdict


@dataclass(frozen=True)
class Turns:
    """M messages of N records; those of record n stand at `offsets[n]:offsets[n + 1]`."""

    offsets: NDArray[np.int64]
    roles: pa.StringArray
    texts: pa.StringArray

    @classmethod
    def of(cls, table: pa.Table) -> Turns:
        """The column `messages`, without copying a text."""
        column = table["messages"].combine_chunks()
        flat = column.flatten()
        lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        return cls(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), flat.field("role"), flat.field("text"))

    def record_of(self, message: NDArray[np.int64]) -> NDArray[np.int64]:
        """The records that these messages belong to."""
        return np.searchsorted(self.offsets, message, side="right") - 1

    def said_by(self, role: str) -> list[str]:
        """(N,) everything that a role says in each record, a turn to a line, as `Record.text_of`."""
        roles, texts, offsets = self.roles.to_pylist(), self.texts.to_pylist(), self.offsets.tolist()
        said: list[list[str]] = [[] for _ in range(len(offsets) - 1)]
        record = -1
        for message, speaker in enumerate(roles):
            while offsets[record + 1] <= message:
                record += 1
            if speaker == role:
                said[record].append(texts[message])
        return ["\n".join(turns) for turns in said]


def with_texts(table: pa.Table, turns: Turns, texts: pa.StringArray) -> pa.Table:
    """The table with other texts in its messages."""
    at = table.schema.get_field_index("messages")
    field = table.schema.field(at)
    flat = pa.StructArray.from_arrays([turns.roles, texts], fields=list(field.type.value_type))
    lists = pa.ListArray.from_arrays(pa.array(turns.offsets, pa.int32()), flat, type=field.type)
    return table.set_column(at, field, lists)


def with_column(table: pa.Table, name: str, values: Sequence[object] | pa.Array) -> pa.Table:
    """The table with a column of its own exchanged; the type stays."""
    at = table.schema.get_field_index(name)
    field = table.schema.field(at)
    return table.set_column(at, field, values if isinstance(values, pa.Array) else pa.array(values, field.type))


def with_verdicts(table: pa.Table, found: Mapping[int, Sequence[Verdict]]) -> pa.Table:
    """The table with further verdicts at the end of those of some rows; the others are not looked at."""
    column = table["verdicts"].combine_chunks()
    had = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = sorted(found)
    more = np.zeros(len(had), np.int64)
    more[rows] = [len(found[row]) for row in rows]
    flat = [v for row in rows for v in found[row]]
    added = pa.StructArray.from_arrays(
        [pa.array([getattr(v, f.name) for v in flat], f.type) for f in VERDICT_TYPE], fields=list(VERDICT_TYPE)
    )
    owner = np.concatenate([np.repeat(np.arange(len(had)), had), np.repeat(rows, more[rows]).astype(np.int64)])
    values = pa.concat_arrays([column.flatten(), added]).take(pa.array(np.argsort(owner, kind="stable")))
    offsets = np.concatenate([[0], np.cumsum(had + more)])
    return with_column(table, "verdicts", pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values))
