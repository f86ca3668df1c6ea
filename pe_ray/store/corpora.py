"""What reads a corpus opens it here: its bytes are those that its manifest names, and nothing in it waits for review.

A file that was changed, exchanged or put beside the others after the manifest was written is refused, and so is a
record that stands among the records and in `review.parquet` alike, whatever the manifest says.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pe_ray.errors import ManifestError
from pe_ray.store import manifest
from pe_ray.store.manifest import Manifest

RECORDS, REVIEW = "records", "review.parquet"


def open_corpus(directory: Path) -> Manifest:
    """The manifest of a finished corpus that may be read.

    Raises ManifestError for one that is not finished, was changed, or holds a record that waits for review.
    """
    found = manifest.read(directory, "corpus", verify=True)
    files = _listed(directory, found, RECORDS)
    review = directory / REVIEW
    if review.is_file() and files:
        waiting = pq.read_table(review, columns=["id"])["id"].combine_chunks()
        for file in files:
            ids = pq.read_table(file, columns=["id"])["id"]
            if len(both := ids.filter(pc.is_in(ids, pa.array(waiting)))):
                raise ManifestError(f"{file}: holds record {both[0].as_py()}, which waits for review in {REVIEW}")
    return found


def open_examples(directory: Path) -> Manifest:
    """The manifest of finished examples that may be trained on. Raises ManifestError as `open_corpus`."""
    found = manifest.read(directory, "examples", verify=True)
    _listed(directory, found, ".")
    return found


def _listed(directory: Path, found: Manifest, folder: str) -> list[Path]:
    """The Parquet files of a folder, all of which the manifest must name."""
    files = sorted((directory / folder).glob("*.parquet"))
    for file in files:
        if file.relative_to(directory).as_posix() not in found.files:
            raise ManifestError(f"{file}: is not in the manifest: somebody put it there; take it away")
    return files
