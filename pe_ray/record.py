"""The nouns that travel between the rooms, and their Arrow schemas.

| noun | made by | rests in |
|---|---|---|
| Record | a corpus source | `corpora/<name>/<fingerprint>/records/*.parquet` |
| Verdict, Reject | a check, a stage | beside the corpus |
| Example | the tokeniser | `corpora/<name>/<fingerprint>/examples/<tokenizer_hash>/*.parquet` |
| Response | the gateway | returned to the client |
| JournalEntry | the gateway or the progress routes | the `journal` database, sealed |

Fields that may hold a person's words are left out of `repr`, so that an exception or a log line cannot carry them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import pyarrow as pa

Role = Literal["system", "user", "assistant"]

DOMAINS = ("psychology", "mental_health", "bias_detection", "general_therapeutic")
"""What a record teaches, and the name of the expert that should learn it; the order is the experts' order."""

CONTENT_TYPES = (
    "psychologist_voice",
    "transcript",
    "interview",
    "podcast",
    "monologue",
    "speech",
    "edge_case",
    "dual_persona",
    "knowledge",
    "qa",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """One unit of the corpus: a conversation with its origin.

    `uri` is relative to the root of its source, so that the same data has the same ids on every machine; `offset` is
    the row, cue or byte inside it. `metadata` holds strings (a category, a difficulty, a topic list joined by commas).
    """

    id: str
    source: str
    domain: str
    content_type: str
    messages: tuple[Message, ...] = field(repr=False)
    uri: str
    offset: int
    licence: str
    attribution: str
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def create(
        cls,
        *,
        source: str,
        domain: str,
        content_type: str,
        messages: Sequence[Message],
        uri: str,
        offset: int,
        licence: str,
        attribution: str,
        metadata: Mapping[str, str] | None = None,
    ) -> Record:
        """Make a record whose id follows from where it stood and what it said.

        Raises ValueError for a domain or content type outside the lists above, or a record without a word in it.
        """
        if domain not in DOMAINS:
            raise ValueError(f"domain={domain!r} is not one of {', '.join(DOMAINS)}")
        if content_type not in CONTENT_TYPES:
            raise ValueError(f"content_type={content_type!r} is not one of {', '.join(CONTENT_TYPES)}")
        if not any(m.text.strip() for m in messages):
            raise ValueError("messages hold no text; at least one must")
        text = "\x1e".join(f"{m.role}\x1f{m.text}" for m in messages)
        return cls(
            id=digest(source, uri, str(offset), text),
            source=source,
            domain=domain,
            content_type=content_type,
            messages=tuple(messages),
            uri=uri,
            offset=offset,
            licence=licence,
            attribution=attribution,
            metadata=dict(metadata or {}),
        )

    def text_of(self, role: Role) -> str:
        """Everything that `role` says, a turn to a line."""
        return "\n".join(m.text for m in self.messages if m.role == role)

    def with_messages(self, messages: Sequence[Message]) -> Record:
        """The same record with repaired text; its id stays that of the raw row."""
        return replace(self, messages=tuple(messages))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: `score` in 0..1 (1 is good), `passed` under the threshold in force, `reason` in words.

    `reason` names a rule or a figure, never the text that was judged.
    """

    check: str
    score: float
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a record is not in the corpus. `stage` is clean, dedup, a check's name, review or balance."""

    record_id: str
    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class Example:
    """A tokenised record: `loss_mask[i]` is 1 where token i is the assistant's and is learnt."""

    token_ids: tuple[int, ...] = field(repr=False)
    loss_mask: tuple[int, ...] = field(repr=False)
    domain: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Response:
    """A reply as the gateway returns it; `adapter` is `name@version`."""

    id: str
    text: str = field(repr=False)
    adapter: str
    verdicts: tuple[Verdict, ...]
    latency_s: float
    cached: bool
    tokens_generated: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContextItem:
    """A passage handed to the model beside the question: from retrieval, or from the client's own history."""

    id: str
    text: str = field(repr=False)
    origin: str
    score: float


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One thing worth remembering about a client; sealed before it rests anywhere.

    `at` is when it happened, ISO 8601 in UTC. `kind` is message, crisis, note, mood or assessment; `response_id` leads
    back to the reply, its adapter and its corpus. `body` is JSON: {"text": ...} and what else the kind needs.
    """

    id: str
    client_id: str
    at: str
    kind: str
    body: Mapping[str, Any] = field(repr=False)
    response_id: str | None = None
    session_id: str | None = None


VERDICT_TYPE = pa.struct(
    [("check", pa.string()), ("score", pa.float32()), ("passed", pa.bool_()), ("reason", pa.string())]
)

RECORD_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("domain", pa.string()),
        ("content_type", pa.string()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())]))),
        ("uri", pa.string()),
        ("offset", pa.int64()),
        ("licence", pa.string()),
        ("attribution", pa.string()),
        ("metadata", pa.string()),  # JSON: sources differ in what they know
        ("changes", pa.list_(pa.string())),  # what cleaning did, by name
        ("verdicts", pa.list_(VERDICT_TYPE)),
    ]
)
"""A record with what the stages wrote on it. Stages annotate first; decisions are taken later, from the annotations."""

REJECT_SCHEMA = pa.schema([("record_id", pa.string()), ("stage", pa.string()), ("reason", pa.string())])

EXAMPLE_SCHEMA = pa.schema(
    [
        ("token_ids", pa.list_(pa.int32())),
        ("loss_mask", pa.list_(pa.int8())),
        ("domain", pa.string()),
        ("record_id", pa.string()),
        ("split", pa.string()),
    ]
)


def digest(*parts: str) -> str:
    """128 bits over the parts, in hex; the parts cannot run into each other."""
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        h.update(len(data).to_bytes(8, "big"))
        h.update(data)
    return h.hexdigest()


def to_table(records: Iterable[Record]) -> pa.Table:
    """Records as a table of `RECORD_SCHEMA`, with no changes and no verdicts yet."""
    rows = [
        {
            "id": r.id,
            "source": r.source,
            "domain": r.domain,
            "content_type": r.content_type,
            "messages": [{"role": m.role, "text": m.text} for m in r.messages],
            "uri": r.uri,
            "offset": r.offset,
            "licence": r.licence,
            "attribution": r.attribution,
            "metadata": json.dumps(dict(r.metadata), ensure_ascii=False, sort_keys=True),
            "changes": [],
            "verdicts": [],
        }
        for r in records
    ]
    return pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)


def from_table(table: pa.Table) -> Iterator[Record]:
    """The records of a table that has at least the columns of `RECORD_SCHEMA`."""
    told = {n: table[n].to_pylist() for n in RECORD_SCHEMA.names if n not in ("messages", "changes", "verdicts")}
    told["metadata"] = map(json.loads, told["metadata"])
    for messages, *values in zip(_conversations(table), *told.values(), strict=True):
        yield Record(**dict(zip(told, values, strict=True)), messages=messages)


def _conversations(table: pa.Table) -> Iterator[tuple[Message, ...]]:
    """The messages of each row; read as flat columns, since a dictionary for each turn costs more than the turn."""
    column = table["messages"].combine_chunks()
    flat = column.flatten()
    said = map(Message, flat.field("role").to_pylist(), flat.field("text").to_pylist())
    for length in column.value_lengths().to_pylist():
        yield tuple(islice(said, length or 0))
