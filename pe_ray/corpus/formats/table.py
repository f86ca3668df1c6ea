"""CSV as RFC 4180 has it: commas, CRLF at the end of a row, quotes doubled, a header.

A column that is neither text nor number holds JSON. Two columns are added for people: what the user and what the
assistant says, a turn to a line; `messages` has the turns apart.

A spreadsheet runs a cell that begins with = or + as a formula, and client text may begin so. Such a cell gets an
apostrophe in front, and so does one that begins with an apostrophe: taking one leading apostrophe off a cell gives its
text back exactly (`unguarded`). JSON columns begin with a bracket or a brace and stand as they are.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pe_ray.corpus.formats.rows import Snapshot, dumps, split_files

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
GUARD = "'"


def write(snapshot: Snapshot, out: Path) -> dict[str, Any]:
    """One file a split."""
    counts: Counter[str] = Counter()
    with split_files(out, ".csv", head=_line([*snapshot.columns, "user", "assistant"])) as file_of:
        for row in snapshot.rows():
            file_of(row["split"]).write(_line(cells(row)))
            counts[row["split"]] += 1
    return {"rows": dict(sorted(counts.items()))}


def cells(row: Mapping[str, Any]) -> list[str]:
    """A record as the cells of its line."""
    said = (_said(row["messages"], role) for role in ("user", "assistant"))
    return [_cell(value) for value in (*row.values(), *said)]


def unguarded(cell: str) -> str:
    """The text of a cell."""
    return cell.removeprefix(GUARD)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return GUARD + value if value.startswith((GUARD, *RUN_BY_SPREADSHEETS)) else value
    return "" if value is None else dumps(value)


def _said(messages: Sequence[Mapping[str, str]], role: str) -> str:
    return "\n".join(m["text"] for m in messages if m["role"] == role)


def _line(values: Sequence[str]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(values)
    return buffer.getvalue().encode()
