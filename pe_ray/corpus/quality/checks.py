"""The row checks, in the order in which they reject, and how they are run over a batch."""

from __future__ import annotations

from dataclasses import asdict

import pyarrow as pa

from pe_ray.corpus.quality import bias, coherence, generic, naturalness, persona, transcription
from pe_ray.record import from_table

CHECKS = (coherence, generic, bias, transcription, naturalness, persona)
NAMES = tuple(c.NAME for c in CHECKS)


def apply(table: pa.Table) -> pa.Table:
    """The verdicts of every check that has something to say."""
    verdicts = [
        [asdict(v) for v in (c.check(record) for c in CHECKS) if v is not None] for record in from_table(table)
    ]
    at = table.schema.get_field_index("verdicts")
    return table.set_column(at, table.schema.field(at), pa.array(verdicts, table.schema.field(at).type))
