"""Questions with a counsellor's answer, and biased statements with what is wrong with them.

One JSON object per line, of either shape, told apart row by row by its keys:
{"question", "answer", "topics": [...]}
{"statement", "group", "biased", "what_is_wrong", "respectful_answer", "swapped_statement"}
"""

from __future__ import annotations

from collections.abc import Iterator

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import ReadPlan, Row, SourceFile, Unreadable, make_record, plan_files, read_jsonl
from pe_ray.corpus.row import Fault, flag, label, labels, text
from pe_ray.record import Record

FIELDS = (
    *("question", "answer", "topics", "domain"),
    *("statement", "group", "biased", "what_is_wrong", "respectful_answer", "swapped_statement"),
)


def plan(spec: SourceSpec) -> ReadPlan:
    """The .jsonl files of a spec."""
    return plan_files(spec, ".jsonl")


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """A record per question or statement."""
    return read_jsonl(spec, (part or plan(spec)).files, from_row)


def from_row(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    """The record of one row; raises Fault where a field is wrong."""
    if "statement" in row.data:
        return _statement(spec, file, row)
    if "question" not in row.data and "answer" not in row.data:
        raise Fault("question", "is missing, and so is statement; one of the two shapes is wanted")
    return _question(spec, file, row)


def _question(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    return make_record(
        spec,
        file,
        row.line,
        domain=label(row.data, "domain", "general_therapeutic"),
        content_type="qa",
        messages=[("user", text(row.data, "question")), ("assistant", text(row.data, "answer"))],
        metadata={"topics": ",".join(labels(row.data, "topics")), "question": "extracted"},
    )


def _statement(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    # the respectful answer stands last, after a blank line: quality/bias.py judges that paragraph alone
    answer = "\n\n".join(text(row.data, name).strip() for name in ("what_is_wrong", "respectful_answer"))
    return make_record(
        spec,
        file,
        row.line,
        domain=label(row.data, "domain", "bias_detection"),
        content_type="qa",
        messages=[("user", text(row.data, "statement")), ("assistant", answer)],
        metadata={
            "group": label(row.data, "group").casefold(),
            "biased": str(flag(row.data, "biased")).lower(),
            "swapped_statement": text(row.data, "swapped_statement").strip(),
            "question": "contextual",
        },
    )
