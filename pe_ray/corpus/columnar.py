"""Rows of columnar files (Parquet, and the Arrow files of a `datasets` folder), by batches, numbered from 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pe_ray.corpus.delimited import Cells

BATCH_ROWS = 256


def names(path: str) -> list[str]:
    """The names of the columns; raises pa.ArrowException or OSError for a file that is damaged."""
    if path.endswith(".parquet"):
        return list(pq.read_schema(path).names)
    with pa.memory_map(path) as source:
        return list(_open(source).schema.names)


def parquet_rows(path: str, columns: Sequence[str], start: int = 0, size: int | None = None) -> Iterator[Cells]:
    """The rows of the row groups that begin in a piece of a file, numbered from 1 over the whole file.

    Raises pa.ArrowException or OSError for a file that is damaged.
    """
    with pq.ParquetFile(path) as file:
        groups = _row_groups(file)
        for group, (begins, first_row) in enumerate(groups):
            if start <= begins and (size is None or begins < start + size):
                batches = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns))
                yield from _numbered(batches, columns, first_row, begins)


def pieces(path: str, piece_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Whole row groups in pieces of about `piece_bytes`: where each starts, its size, and its first row."""
    start, row, end = 0, 1, Path(path).stat().st_size
    with pq.ParquetFile(path) as file:
        for begins, first_row in _row_groups(file):
            if begins - start >= piece_bytes:
                yield start, begins - start, row
                start, row = begins, first_row
    yield start, end - start, row


def arrow_rows(path: str, columns: Sequence[str]) -> Iterator[Cells]:
    """The rows of an Arrow stream or file, numbered from 1; raises what `parquet_rows` raises."""
    with pa.memory_map(path) as source:
        row = 1
        for batch in _batches(source):
            yield from _numbered([batch.select(list(columns))], columns, row, 0)
            row += len(batch)


def _row_groups(file: pq.ParquetFile) -> list[tuple[int, int]]:
    """Where each row group begins in the file, and its first row."""
    found, row = [], 1
    for i in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(i)
        chunk = group.column(0)
        found.append((min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset), row))
        row += group.num_rows
    return found


def _numbered(batches: Iterable[pa.RecordBatch], columns: Sequence[str], row: int, start: int) -> Iterator[Cells]:
    for batch in batches:
        for values in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
            yield Cells(row, start, values)
            row += 1


def _open(source: pa.NativeFile) -> pa.ipc.RecordBatchStreamReader | pa.ipc.RecordBatchFileReader:
    magic = source.read(6)
    source.seek(0)
    return pa.ipc.open_file(source) if magic == b"ARROW1" else pa.ipc.open_stream(source)


def _batches(source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    reader = _open(source)
    if isinstance(reader, pa.ipc.RecordBatchStreamReader):
        yield from reader
    else:
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
