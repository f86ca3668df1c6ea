"""The corpus on Ray: the same functions as `pipeline.build`, spread over the cluster's tasks.

Annotation is a Ray Data pipeline: a row of the dataset is a part of the input (files, or a piece of one), and one
`map_batches` reads it, folds the list of stages over its records and writes its shard. So no text is moved, and a task
holds a thousand records at a time. Decisions are taken from the small key columns, as in the plain engine; what needs
text again (near-duplicates, the snapshot's files) is spread as tasks.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import ray
import ray.data

from pe_ray.config import Config
from pe_ray.corpus import pipeline, shards
from pe_ray.corpus.duplicates import Spread
from pe_ray.corpus.neardup.job import spread
from pe_ray.corpus.pipeline import CorpusResult, Say, quiet
from pe_ray.monitor.memory import give_back
from pe_ray.store.paths import Home


def build(config: Config, home: Home, say: Say = quiet) -> CorpusResult:
    """Build the corpus on Ray; the result is that of `pipeline.build`, byte for byte where decisions are concerned.

    Raises what `pipeline.build` raises. Needs a connected Ray (`cluster.connected`).
    """
    return pipeline.run(config, home, Cluster(), say)


@dataclass(frozen=True)
class Cluster:
    """The connected Ray."""

    @property
    def spread(self) -> Spread:
        return spread

    def fill(self, work: Sequence[shards.Work], done: Callable[[], None]) -> None:
        """Annotate the parts; Ray Data decides how many at a time."""
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it announces what it does on every run
        rows = pa.table({"work": [pickle.dumps(w) for w in work]})
        dataset = ray.data.from_arrow([rows.slice(i, 1) for i in range(len(rows))])
        annotated = dataset.map_batches(_annotate, batch_format="pyarrow", batch_size=None)
        for _ in annotated.iter_batches(batch_format="pyarrow", batch_size=None):
            done()


def _annotate(table: pa.Table) -> pa.Table:
    for blob in table["work"].to_pylist():
        shards.annotate_part(pickle.loads(blob))  # our own driver's bytes, through Ray's object store
    give_back()
    return pa.table({"parts": pa.array([len(table)], pa.int64())})
