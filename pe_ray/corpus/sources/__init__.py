"""The sources of a corpus: a file each, found by its name.

A new source is a file here with `plan(spec) -> ReadPlan` and `read(spec, part=None) -> Iterator[Record | Unreadable]`;
its name is the kind that a run file gives. `part` is a piece of the plan, so that several tasks can share the files.
A source that is made of rows has `from_row(spec, file, row)` and `FIELDS` too: `table` hands it rows of any origin.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import ReadPlan, Unreadable
from pe_ray.record import Record


def reader(kind: str) -> ModuleType:
    """The module of a source kind."""
    return import_module(f"{__name__}.{kind}")


def plan(spec: SourceSpec) -> ReadPlan:
    """The files that a spec stands for; raises SourceError if there are none."""
    found: ReadPlan = reader(spec.kind).plan(spec)
    return found


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """The records of a spec, or of a part of its plan, and what could not be read."""
    found: Iterator[Record | Unreadable] = reader(spec.kind).read(spec, part)
    return found
