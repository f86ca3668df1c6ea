"""A record from a question and an answer, for the checks."""

from __future__ import annotations

from pe_ray.record import Message, Record


def record(question: str, answer: str, domain: str = "general_therapeutic", **metadata: str) -> Record:
    return Record.create(
        source="standard",
        domain=domain,
        content_type="qa",
        messages=[Message("user", question), Message("assistant", answer)],
        uri="a.jsonl",
        offset=1,
        licence="",
        attribution="",
        metadata=metadata,
    )
