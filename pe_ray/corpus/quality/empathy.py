"""Where helpers reflect, explore and interpret: counts with places, from `safety.empathy`; never a grade of a reply.

`apply` appends the column `empathy`, JSON or null, of records in which a client speaks and is answered:

    {"words": 84, "reflection": {"count": 2, "spans": [[1, 0, 22], [3, 14, 60]]}, "exploration": {...}, ...}

A span is [message, start, end] in the characters of that message. Nothing is decided by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pe_ray.corpus.columns import Turns
from pe_ray.corpus.quality.markers import CONTENT_TYPES, MAX_SPANS, SCRIPTED_DOMAIN
from pe_ray.record import Record
from pe_ray.safety.empathy import find

NAME = "empathy"


def apply(table: pa.Table) -> pa.Table:
    """Append `empathy`."""
    turns = Turns.of(table)
    roles, texts, offsets = turns.roles.to_pylist(), turns.texts.to_pylist(), turns.offsets.tolist()
    write = json.JSONEncoder(separators=(",", ":")).encode
    found: list[str | None] = []
    wanted = zip(table["content_type"].to_pylist(), table["domain"].to_pylist(), strict=True)
    for row, (content_type, domain) in enumerate(wanted):
        place = range(offsets[row], offsets[row + 1])
        said = {roles[i] for i in place}
        told = None
        if content_type in CONTENT_TYPES and domain != SCRIPTED_DOMAIN and {"user", "assistant"} <= said:
            told = of_helper([(n, texts[i]) for n, i in enumerate(place) if roles[i] == "assistant"])
        found.append(write(told) if told else None)
    return table.append_column(NAME, pa.array(found, pa.string()))


def of_helper(said: list[tuple[int, str]]) -> dict[str, Any] | None:
    """The markers of a helper's messages, given with their place in the record; None if there are none."""
    kinds: dict[str, dict[str, Any]] = {}
    for message, text in said:
        for marker in find(text):
            seen = kinds.setdefault(marker.kind, {"count": 0, "spans": []})
            seen["count"] += 1
            if len(seen["spans"]) < MAX_SPANS:
                seen["spans"].append([message, marker.start, marker.end])
    return {"words": sum(len(text.split()) for _, text in said), **kinds} if kinds else None


def spans(record: Record) -> Iterator[tuple[str, int, int, int]]:
    """Each marker's rule with message, start and end, for whoever asks where it stands."""
    for number, message in enumerate(record.messages):
        for marker in find(message.text) if message.role == "assistant" else ():
            yield marker.id, number, marker.start, marker.end
