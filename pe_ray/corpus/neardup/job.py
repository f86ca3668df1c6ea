"""Near-duplicates of a corpus beyond one task, on Ray: the same functions, and so the same clusters.

Band keys and signatures come to the driver (about 270 bytes a document); buckets go out again in shares, band after
band, with the labels so far. Texts never leave the tasks that read them, and shingles go through files in `scratch`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from pe_ray.corpus.neardup.clusters import Clusters, near_duplicates_of
from pe_ray.monitor.memory import give_back

AHEAD = 2
"""Tasks in flight for each core of the cluster."""


def cluster(
    files: Sequence[Any],
    text_of: Callable[[Any], pa.Array | pa.ChunkedArray] | None = None,
    *,
    partitions: int | None = None,
    scratch: Path | None = None,
    **settings: Any,
) -> Clusters:
    """Cluster the documents of all files (anything that `text_of` reads; by default the column `text` of a Parquet
    file), with tasks on the connected Ray; `settings` and `scratch` are those of `near_duplicates_of`.

    `partitions` is the number of cores of the cluster unless given. `survivors` of these clusters runs in tasks too.
    """
    shares = _cores() if partitions is None else partitions
    return near_duplicates_of(
        files, text_of or column_text, spread=spread, partitions=shares, scratch=scratch, **settings
    )


def column_text(file: str | Path) -> pa.ChunkedArray:
    """The column `text` of a Parquet file."""
    return pq.read_table(file, columns=["text"])["text"]


def spread(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Call `function` on each item in a task, a few ahead of the one whose result is waited for; results in order.

    The function, with all that is bound to it, is put into the object store once. Large items and results travel by
    reference too: Ray puts an argument beyond 100 KiB there by itself, and numpy arrays are mapped, not copied.
    """
    called, most = ray.put(function), AHEAD * _cores()
    running: deque[ray.ObjectRef] = deque()
    try:
        for item in items:
            if len(running) >= most:
                yield ray.get(running.popleft())
            running.append(_call.remote(called, item))
        while running:
            yield ray.get(running.popleft())
    finally:
        for task in running:  # of a failed or abandoned run
            ray.cancel(task)


@ray.remote
def _call(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    finally:
        give_back()


def _cores() -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))
