"""A finished snapshot in the forms that other tools read; a form is a file of this folder.

| format | files | read it with |
|---|---|---|
| jsonl | `<split>.jsonl`, a record a line | `datasets.load_dataset("json", ...)` |
| json | `corpus.json`, one document | `datasets.load_dataset("json", ..., field="records")` |
| csv | `<split>.csv`, RFC 4180 | a spreadsheet, `datasets.load_dataset("csv", ...)` |
| messages | `<split>.jsonl`, role and content of each turn | TRL, any chat template |
| hdf5 | `<split>-00000.h5` ..., token shards | h5py |

    <corpus>/exports/<format>/          <corpus>/exports/hdf5/<tokenizer_hash>/

Each is written as a stream, a batch of rows in memory at a time, and the same snapshot gives the same bytes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pe_ray.corpus.formats import document, hdf5, jsonl, messages, table
from pe_ray.corpus.formats.rows import Snapshot
from pe_ray.errors import ManifestError, UserError, disk_is_full
from pe_ray.store import manifest

VERSION = 1
"""Raise it when a format writes other bytes for the same snapshot: exports of before are then written anew."""

FORMATS: dict[str, Callable[[Snapshot, Path], dict[str, Any]]] = {
    "csv": table.write,
    "hdf5": hdf5.write,
    "json": document.write,
    "jsonl": jsonl.write,
    "messages": messages.write,
}
"""Each writes the files of a snapshot into a folder and gives back what its manifest should say."""


def export(corpus_dir: Path, format: str, out: Path | None = None, *, tokenizer: str | None = None) -> Path:
    """Write a snapshot in one format, unless that is there already, and give back its folder.

    `out` is a folder that is absent or empty, default `<corpus>/exports/<format>`. `tokenizer` chooses the examples
    of an hdf5 export where there are several: the name of their folder, or its beginning. Raises ManifestError for a
    corpus that is not finished, and UserError for an unknown format, a missing extra, a corpus without records or
    without examples, and a folder that holds something else or cannot be written.
    """
    write = _known(format)
    snapshot = Snapshot.open(Path(corpus_dir))
    parents = {"corpus": snapshot.fingerprint}
    target = snapshot.path / "exports" / format
    if format == "hdf5":
        snapshot = hdf5.with_examples(snapshot, tokenizer)
        parents["examples"] = snapshot.examples_name
        target /= snapshot.examples_name
    ours, target = out is None, Path(out or target).absolute()
    facts = {"format": format, "version": VERSION}
    if _there(target, parents, facts, ours):
        return target
    try:
        with manifest.stage(target, kind="export", parents=parents) as stage:
            stage.facts.update(facts | write(snapshot, stage.path))
    except OSError as error:
        if disk_is_full(error):  # no fault of the folder, and the door knows what to say
            raise
        raise UserError(f"out={target}: cannot be written ({error.strerror or error}); give another folder") from None
    return target


def _known(format: str) -> Callable[[Snapshot, Path], dict[str, Any]]:
    if format in FORMATS:
        return FORMATS[format]
    near = difflib.get_close_matches(format, FORMATS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(FORMATS)} is wanted"
    raise UserError(f"format={format}: is not known; {hint}")


def _there(target: Path, parents: dict[str, str], facts: dict[str, Any], ours: bool) -> bool:
    """Whether this very export is there; what stands in its place goes if the folder is `ours`, else it is refused."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    try:
        found = manifest.read(target, "export", verify=True)
        if dict(found.parents) == parents and facts.items() <= found.facts.items():
            return True
    except ManifestError:
        pass  # unfinished or damaged: written anew in our own place, left alone in the user's
    if not ours:
        raise UserError(f"out={target}: is not empty and is not this export; give a new or an empty folder")
    manifest.remove(target)
    return False
