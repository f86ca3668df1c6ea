"""The corpus on Ray Data: the same functions as `pipeline.build`, spread over the cluster's tasks.

A row of the dataset is a part of the input (files, or a piece of one). Reading turns it into blocks of records; each
stage is one `map_batches` over them; the last writes the annotated block. Ray fuses these into one task a part, so no
text is moved, and a task holds one part at a time. Decisions are taken from the small key columns, as in the plain
engine, and the kept records are written by tasks again.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data

from pe_ray.config import Config
from pe_ray.corpus import annotated, pipeline
from pe_ray.corpus.pipeline import CorpusResult
from pe_ray.store.paths import Home

IN_FLIGHT = 8
"""Writing tasks at a time."""


def build(config: Config, home: Home) -> CorpusResult:
    """Build the corpus on Ray; the result is that of `pipeline.build`, byte for byte where decisions are concerned.

    Raises what `pipeline.build` raises. Needs a connected Ray (`cluster.connected`).
    """
    return pipeline.run(config, home, _fill, _spread)


def _fill(parts: Sequence[annotated.Part], out: Path) -> None:
    """Annotate all parts into `out`."""
    (out / "records").mkdir(exist_ok=True)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it announces what it does on every run
    rows = pa.table({"part": [pickle.dumps(p) for p in parts]})
    dataset = ray.data.from_arrow([rows.slice(i, 1) for i in range(len(rows))])
    options: dict[str, Any] = {"batch_format": "pyarrow", "batch_size": None}
    dataset = dataset.map_batches(_read, fn_kwargs={"out": out}, **options)
    for stage in pipeline.STAGES:
        dataset = dataset.map_batches(stage, **options)
    dataset = dataset.map_batches(_store, fn_kwargs={"out": out}, **options)
    for _ in dataset.iter_batches(batch_format="pyarrow", batch_size=None):
        pass


def _read(table: pa.Table, out: Path) -> Iterator[pa.Table]:
    for blob in table["part"].to_pylist():
        part: annotated.Part = pickle.loads(blob)  # our own driver's bytes, through Ray's object store
        yield from annotated.read_part(part, out)


def _store(table: pa.Table, out: Path) -> pa.Table:
    annotated.store(table, out)
    return pa.table({"records": pa.array([len(table)], pa.int64())})


def _spread(function: Callable[[Any], None], items: Sequence[Any]) -> None:
    """Call `function` on each item in tasks, a few at a time."""
    task = ray.remote(function)
    running: list[ray.ObjectRef] = []
    for item in items:
        if len(running) >= IN_FLIGHT:
            done, running = ray.wait(running)
            ray.get(done)
        running.append(task.remote(item))
    ray.get(running)
