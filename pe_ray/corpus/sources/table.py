"""Tables of any origin, whose rows become records of another source.

    {kind: table, path: answers.csv, becomes: standard,
     columns: {question: [title, text], answer: reply, topics: topics}, values: {domain: mental_health}}

reads .jsonl, .csv, .tsv and .parquet, and folders that `datasets` wrote with `save_to_disk`. `columns` says where each
field of that source is read from; several columns are joined by a blank line, those that are empty or repeat an earlier
one left out. What the fields mean, and what is wrong with a row, is the business of the source that the rows become.

A column that is not there is one error for the whole source. A cell is null only where its file says so: "n/a" is text.
"""

from __future__ import annotations

import datetime
import decimal
import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from pe_ray.config import SourceSpec
from pe_ray.corpus import columnar, delimited, sources
from pe_ray.corpus.lines import MAX_ROW_BYTES, too_long
from pe_ray.corpus.reading import (
    ReadPlan,
    Row,
    SourceFile,
    ToRecord,
    Unreadable,
    delimited_rows,
    json_lines,
    plan_files,
    read_each,
)
from pe_ray.corpus.row import Fault
from pe_ray.errors import SourceError
from pe_ray.record import Record

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
STATE = "state.json"
"""Lists the files of a `datasets` folder; others in it are caches."""
KEYS_OF = 1000
"""JSON lines have no header: their columns are the keys of so many lines at the beginning."""


def plan(spec: SourceSpec) -> ReadPlan:
    """The files of a spec.

    Raises SourceError if a field is none of the source's, or a column is in none of a file's.
    """
    _check_fields(spec)
    files = [f for f in plan_files(spec, *SUFFIXES).files if _belongs(spec, Path(f.path))]
    for file in files:
        _check_columns(spec, file)
    return ReadPlan(tuple(replace(f, by_rows=True) for f in files))


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """The records that the rows become; offsets are lines of text files, else the numbers of rows, from 1."""
    for file in (part or plan(spec)).files:
        yield from read_each(spec, file, _rows(spec, file), _to_record)


def _to_record(spec: SourceSpec, file: SourceFile, row: Row) -> Record | list[Record]:
    mapped = {field: value for field, names in spec.columns.items() if (value := _value(row.data, names)) is not None}
    from_row: ToRecord = sources.reader(spec.source).from_row
    try:
        return from_row(spec, file, Row(row.line, dict(spec.values) | mapped))
    except Fault as fault:
        if fault.name in spec.columns and fault.name not in mapped:
            raise Fault(fault.name, f"is empty in {', '.join(_names(spec.columns[fault.name]))}") from None
        raise


def _value(data: dict[str, Any], columns: str | tuple[str, ...]) -> Any:
    """The cell, or the texts of several; None if there is nothing in it."""
    cells = [_plain(data.get(name)) for name in _names(columns)]
    if isinstance(columns, str):
        return cells[0]
    texts = [str(cell).strip() for cell in cells if cell is not None]
    return "\n\n".join(dict.fromkeys(texts)) or None


def _plain(cell: Any) -> Any:
    """A cell as JSON would hold it: numbers and dates as their text, lists written as JSON as lists; None if empty."""
    if isinstance(cell, str):
        return _listed(cell) if cell.strip() else None
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, (int, float, decimal.Decimal)) and not isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    return cell


def _listed(cell: str) -> Any:
    """A text cell that is a JSON list of texts or objects, as delimited files have to write one."""
    if re.match(r'\s*\[\s*["{]', cell) and cell.rstrip().endswith("]"):
        try:
            return json.loads(cell)
        except ValueError:
            pass
    return cell


def _rows(spec: SourceSpec, file: SourceFile) -> Iterator[Row | Unreadable]:
    if file.path.endswith((".parquet", ".arrow")):
        return _columnar_rows(spec, file)
    return delimited_rows(spec, file) if file.path.endswith((".csv", ".tsv")) else json_lines(spec, file)


def _columnar_rows(spec: SourceSpec, file: SourceFile) -> Iterator[Row | Unreadable]:
    names, last = _wanted(spec), 0
    try:
        if file.path.endswith(".arrow"):
            found = columnar.arrow_rows(file.path, names)
        else:
            found = columnar.parquet_rows(file.path, names, file.start, file.size)
        for cells in found:
            last = cells.line
            values = cells.values or ()
            if sum(len(v) for v in values if isinstance(v, (str, bytes, list))) > MAX_ROW_BYTES:
                yield Unreadable(spec.source, file.uri, last, "row", too_long())
            else:
                yield Row(last, dict(zip(names, values, strict=True)))
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = f"is damaged after row {last}" if last else "cannot be opened, or is damaged"
        yield Unreadable(spec.source, file.uri, last, "file", f"{reason} ({type(error).__name__})")


def _belongs(spec: SourceSpec, path: Path) -> bool:
    """Whether a file is data: of a `datasets` folder only what its state names."""
    state = path.parent / STATE
    if path.suffix != ".arrow" or not state.is_file():
        return True
    try:
        told = json.loads(state.read_text(encoding="utf-8"))
        data = {entry["filename"] for entry in told["_data_files"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise SourceError(f"{_where(spec)}: {state} is not what save_to_disk writes; save the dataset again") from None
    if told.get("_indices_files") or told.get("_indices_data_files"):
        raise SourceError(f"{_where(spec)}: {state} selects rows by an index; call flatten_indices() and save it again")
    return path.name in data


def _check_fields(spec: SourceSpec) -> None:
    source = sources.reader(spec.source)
    if not hasattr(source, "from_row"):
        raise SourceError(
            f"{_where(spec)}: becomes={spec.source} is not made of rows; give its files to kind={spec.source}"
        )
    known: Sequence[str] = getattr(source, "FIELDS", ())
    for field in (*spec.columns, *spec.values):
        if known and field not in known:
            raise SourceError(f"{_where(spec)}: {spec.source} has no field {field!r}; {_nearest(field, known)}")


def _check_columns(spec: SourceSpec, file: SourceFile) -> None:
    try:
        names = _columns(spec, file)
    except (OSError, Fault, ValueError, pa.ArrowException):
        return  # an error of this file alone; the reader will say so
    for name in _wanted(spec):
        if names and name not in names:
            raise SourceError(f"{_where(spec)}: {file.uri} has no column {name!r}; {_nearest(name, names)}")
        if names.count(name) > 1:
            raise SourceError(f"{_where(spec)}: {file.uri} has two columns {name!r}; rename one")


def _columns(spec: SourceSpec, file: SourceFile) -> list[str]:
    if file.path.endswith((".parquet", ".arrow")):
        return columnar.names(file.path)
    if file.path.endswith((".csv", ".tsv")):
        return delimited.header(file.path)
    rows = islice(json_lines(spec, file), KEYS_OF)
    return list(dict.fromkeys(key for row in rows if isinstance(row, Row) for key in row.data))


def _wanted(spec: SourceSpec) -> list[str]:
    return list(dict.fromkeys(name for names in spec.columns.values() for name in _names(names)))


def _names(columns: str | tuple[str, ...]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else columns


def _nearest(name: str, known: Sequence[str]) -> str:
    """Names like one that is unknown. Others are shown only where they look like names: a header may be missing."""
    near = difflib.get_close_matches(name.casefold(), [k.casefold() for k in known], n=3, cutoff=0.5)
    shown = [k for k in known if k.casefold() in near] or [k for k in known if re.fullmatch(r"[\w.-]{1,40}", k)][:12]
    return f"there is {', '.join(shown)}" if shown else f"it has {len(known)} others"


def _where(spec: SourceSpec) -> str:
    return f"corpus.sources table: path={spec.path}"
