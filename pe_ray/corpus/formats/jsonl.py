"""JSON lines: a record a line, field for field what the Parquet files hold.

`metadata` stays the text that it is there (JSON inside JSON): its keys differ from source to source, and readers that
want one type for a column, as `datasets` does, stop at the first row that has another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pe_ray.corpus.formats.rows import Snapshot, write_lines


def write(snapshot: Snapshot, out: Path) -> dict[str, Any]:
    """One file a split."""
    return {"rows": write_lines(out, ((row["split"], row) for row in snapshot.rows()))}
