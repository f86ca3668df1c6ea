"""The row checks, in the order in which they reject, and how they are run over a batch.

Each module has a NAME and `check(record) -> Verdict | None`, where None says that the check has nothing to say of such
a record. Two things make a check cheap over many records, and neither may change a verdict: `judge(batch)`, which does
the same for all records at once, and a row in `SINGLE`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from pe_ray.corpus.columns import with_column
from pe_ray.corpus.quality import (
    appropriateness,
    authenticity,
    bias,
    coherence,
    evidence,
    generic,
    naturalness,
    persona,
    prejudice,
    tiers,
    transcription,
)
from pe_ray.corpus.quality.batch import Batch
from pe_ray.corpus.quality.vocabulary import Vocabulary
from pe_ray.record import VERDICT_TYPE, Record, Verdict, from_table

CHECKS: tuple[ModuleType, ...] = (coherence, generic, bias, transcription, naturalness, persona)
SECOND: tuple[ModuleType, ...] = (appropriateness, evidence, prejudice, authenticity)
"""Checks of the records that they apply to; they come after triage and the markers (`tiers.apply`)."""
NAMES: tuple[str, ...] = tuple(c.NAME for c in (*CHECKS, *SECOND))


SINGLE: dict[str, Collection[str]] = {
    transcription.NAME: transcription.CONTENT_TYPES,
    naturalness.NAME: naturalness.CONTENT_TYPES,
    persona.NAME: ("dual_persona",),
}
"""Checks that read one record after the other, and the content types that they have something to say about.

What comes from the source voice is shown to them all: it is speech, whatever it was cut into.
"""


def apply(table: pa.Table, meter: tiers.Meter | None = None) -> pa.Table:
    """Append the verdicts of every check that has something to say."""
    meter = meter or tiers.Meter()
    with meter.of(tiers.FIRST, tiers.ALL):
        batch = Batch.of(table, _vocabulary())
        talk = _talk(table)
    found = []
    for check in CHECKS:
        with meter.of(tiers.FIRST, check.NAME) as count:
            found.append(_one_by_one(check, talk, len(table)) if check.NAME in SINGLE else check.judge(batch))
            count(sum(v is not None for v in found[-1]))
    rows = [[v for v in row if v is not None] for row in zip(*found, strict=True)]
    verdicts = _as_column(rows)
    before = table["verdicts"].combine_chunks()
    return with_column(table, "verdicts", _joined(before, verdicts) if len(before.flatten()) else verdicts)


def _talk(table: pa.Table) -> dict[int, Record]:
    """The records that a check of `SINGLE` could have something to say about, by row."""
    wanted = {t for types in SINGLE.values() for t in types}
    labels = zip(table["content_type"].to_pylist(), table["source"].to_pylist(), strict=True)
    rows = [n for n, (kind, source) in enumerate(labels) if kind in wanted or source == "voice"]
    return dict(zip(rows, from_table(table.take(pa.array(rows, pa.int64()))), strict=True))


def _one_by_one(check: ModuleType, records: dict[int, Record], num: int) -> list[Verdict | None]:
    found: list[Verdict | None] = [None] * num
    for n, record in records.items():
        if record.content_type in SINGLE[check.NAME] or record.source == "voice":
            found[n] = check.check(record)
    return found


@cache
def _vocabulary() -> Vocabulary:
    return Vocabulary(bias.rules())


def _as_column(rows: Sequence[Sequence[Verdict]]) -> pa.ListArray:
    """Verdicts as the column `verdicts`, without a dictionary for each."""
    flat = [v for row in rows for v in row]
    values: dict[str, list[Any]] = {f.name: [getattr(v, f.name) for v in flat] for f in VERDICT_TYPE}
    columns = [pa.array(values[f.name], f.type) for f in VERDICT_TYPE]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
    flat_column = pa.StructArray.from_arrays(columns, fields=list(VERDICT_TYPE))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat_column)


def _joined(before: pa.ListArray, after: pa.ListArray) -> pa.ListArray:
    rows = [a + b for a, b in zip(before.to_pylist(), after.to_pylist(), strict=True)]
    return pa.array(rows, after.type)
