"""Conversations for fine-tuning: {"messages": [{"role", "content"}, ...], "id", "source", "domain"} a line.

It is the conversational form that TRL's trainers and every chat template take. A record in which the assistant says
nothing has nothing to learn from: it is left out and named in `left_out.txt`. Turns stay as they are; templates that
insist on user and assistant in turn refuse a conversation that does not alternate, so the manifest counts those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pe_ray.corpus.formats.rows import Snapshot, write_lines

LEFT_OUT = "left_out.txt"


def write(snapshot: Snapshot, out: Path) -> dict[str, Any]:
    """One file a split, and the ids of what is in none."""
    tally: Counter[str] = Counter(left_out=0, not_alternating=0)
    with (out / LEFT_OUT).open("w", encoding="utf-8") as left_out:

        def conversations() -> Iterator[tuple[str, dict[str, Any]]]:
            for row in snapshot.rows():
                if not _answers(row["messages"]):
                    tally["left_out"] += 1
                    left_out.write(f"{row['id']}\n")
                    continue
                tally["not_alternating"] += not _alternates(row["messages"])
                yield row["split"], conversation(row)

        rows = write_lines(out, conversations())
    return {"rows": rows, **tally}


def conversation(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record as one line of the file."""
    messages = [{"role": m["role"], "content": m["text"]} for m in row["messages"]]
    return {"messages": messages, **{name: row[name] for name in ("id", "source", "domain")}}


def _answers(messages: Sequence[Mapping[str, str]]) -> bool:
    return any(m["role"] == "assistant" and m["text"].strip() for m in messages)


def _alternates(messages: Sequence[Mapping[str, str]]) -> bool:
    roles = [m["role"] for m in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    return turns[:1] == ["user"] and "system" not in turns and all(a != b for a, b in pairwise(turns))
