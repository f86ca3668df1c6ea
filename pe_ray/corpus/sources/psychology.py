"""Concepts of psychology: a question that somebody would ask, and what the concept is, does and looks like.

One JSON object per line:
{"concept_id", "name", "category", "question", "definition", "clinical_use", "example", "related": [...]}
"""

from __future__ import annotations

from collections.abc import Iterator

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import ReadPlan, Row, SourceFile, Unreadable, make_record, plan_files, read_jsonl
from pe_ray.corpus.row import label, labels, text
from pe_ray.record import Record


def plan(spec: SourceSpec) -> ReadPlan:
    """The .jsonl files of a spec."""
    return plan_files(spec, ".jsonl")


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """A record per concept."""
    return read_jsonl(spec, (part or plan(spec)).files, _record)


def _record(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    answer = "\n\n".join(text(row.data, name).strip() for name in ("definition", "clinical_use", "example"))
    return make_record(
        spec,
        file,
        row.line,
        domain=label(row.data, "domain", "psychology"),
        content_type="knowledge",
        messages=[("user", text(row.data, "question")), ("assistant", answer)],
        metadata={
            "concept_id": label(row.data, "concept_id"),
            "name": label(row.data, "name"),
            "category": label(row.data, "category"),
            "related": ",".join(labels(row.data, "related")),
            "question": "contextual",
        },
    )
