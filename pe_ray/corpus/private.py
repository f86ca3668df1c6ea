"""Personal data out of the corpus: in every message, and in the metadata that may hold somebody's words or name.

The stage repairs text and never drops a row. A name that a cue gives away in one turn ("my name is ...") counts in
every turn of its record. Speakers in the metadata are names by their place, unless they are roles (Client, Therapist).

Personas are nobody: in a dual-persona record the names on the persona cards stay, wherever they stand in it. All else
in it is treated as elsewhere. The origin of a record (uri, licence, attribution) is left, since a licence asks for it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pe_ray.safety import pii
from pe_ray.safety.pii.lexicon import fold
from pe_ray.safety.pii.masking import MOST_PASSES, find, may_hold, may_hold_each, put
from pe_ray.safety.pii.names import evident
from pe_ray.safety.pii.spans import Span, merge

PII_TYPE = pa.list_(pa.struct([("type", pa.string()), ("count", pa.int32())]))

SPEAKERS = ("speaker", "helper", "user", "assistant")
"""Fields whose whole value is who speaks; several are joined by commas."""
INNER_SPEAKERS = (*SPEAKERS, "name")
"""The same inside other fields. A `name` among the fields may be a concept's, and is left."""
FREE_TEXT = ("personas", "back_channels", "title")
MAY_TELL = rf'"(?:{"|".join((*SPEAKERS, *FREE_TEXT))})"'  # of RE2, over the column
ROLES = re.compile(
    r"(?i)(?<![a-z])(?:client|patient|therapist|psychologist|psychiatrist|counsell?or|supervisor|supervisee|doctor|nurse|"
    r"coach|user|assistant|helper|speaker|interviewer|interviewee|host|guest|moderator|student|teacher|mother|father|"
    r"mom|dad|parent|wife|husband|partner|son|daughter|brother|sister|seeker|supporter|listener|caller|agent|member|"
    r"participant|person|voice|man|woman|male|female|unknown|narrator)(?![a-z])"
)


@dataclass
class Case:
    """One record while it is masked: its texts, and what is known about the names in it."""

    texts: list[str] = field(repr=False)
    metadata: str = field(repr=False)
    exempt: frozenset[str] = field(repr=False)
    counts: Counter[str] = field(default_factory=Counter)
    found: dict[str, list[Span]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Settings:
    """How to look and with which key."""

    tier: pii.Tier
    key: bytes = field(repr=False)
    ner: Path | None = None


def apply(
    table: pa.Table, *, tier: Literal["off", "patterns", "presidio"], key: bytes, ner: Path | None = None
) -> pa.Table:
    """Mask `messages` and `metadata`, and append `pii`: how many values of each type were replaced in a record.

    Raises ValueError for an empty key, and UserError if the tier or the model at `ner` cannot be loaded.
    """
    if tier == "off" or not table.num_rows:
        return table.append_column("pii", pa.array([[]] * table.num_rows, PII_TYPE))
    settings = Settings(tier, key, ner)
    _check(settings)
    messages = _combined(table["messages"])
    turns = messages.flatten()
    texts = turns.field("text").to_pylist()
    held = _may_hold(turns.field("text"), settings)
    metadata = table["metadata"].to_pylist()
    bounds = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(messages), 0).to_numpy())])
    tells = pc.match_substring_regex(pc.fill_null(table["metadata"], ""), MAY_TELL).to_pylist()
    personas = pc.equal(table["content_type"], "dual_persona").to_pylist()
    counts: list[Counter[str]] = []
    changed = False
    for row, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        told = _parsed(metadata[row]) if tells[row] else None
        exempt = _persona_names(told) if told and personas[row] else frozenset()
        if not any(held[start:end]) and _is_clear(told, exempt, settings):
            counts.append(Counter())
            continue
        case = Case(texts[start:end], metadata[row], exempt)
        case.found = {texts[i]: [] for i in range(start, end) if not held[i]}
        mask(case, settings)
        texts[start:end], metadata[row] = case.texts, case.metadata
        counts.append(case.counts)
        changed = changed or bool(case.counts)
    if changed:
        table = _with_texts(table, messages, turns, texts, metadata)
    return table.append_column("pii", pa.array([_listed(c) for c in counts], PII_TYPE))


def mask(case: Case, settings: Settings) -> None:
    """Put surrogates into one record, and repeat until nothing changes, so that a second run finds nothing to do."""
    for _ in range(MOST_PASSES):
        before = (case.texts, case.metadata)
        data = _parsed(case.metadata)
        known = _known(case, data, settings)
        case.texts = [_masked(text, case, known, settings) for text in case.texts]
        after = {k: _field(k, v, case, known, settings) for k, v in (data or {}).items()}
        if data and after != data:
            case.metadata = json.dumps(after, ensure_ascii=False, sort_keys=True)
        if (case.texts, case.metadata) == before:
            return


def _may_hold(texts: pa.StringArray, settings: Settings) -> list[bool]:
    """The gate of each text; a model of names looks at all of them."""
    return [True] * len(texts) if settings.ner is not None else may_hold_each(pc.fill_null(texts, ""))


def _is_clear(told: dict[str, Any] | None, exempt: frozenset[str], settings: Settings) -> bool:
    """The gate of what a record's metadata tells."""
    if not told:
        return True
    if settings.ner is not None:
        return False
    fields = ((n, v) for n, v in told.items() if n in SPEAKERS or n in FREE_TEXT)
    leaves = ((n, leaf) for name, value in fields for n, leaf in _strings(name, value))
    return all(_is_persona(n, leaf, exempt) or _is_nobody(n, leaf) for n, leaf in leaves)


def _is_persona(name: str, value: str, exempt: frozenset[str]) -> bool:
    return name in INNER_SPEAKERS and value.isalpha() and fold(value) in exempt


def _strings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every string in a field, under the name that it stands under; JSON inside a string is opened."""
    if isinstance(value, dict):
        for inner, leaf in value.items():
            yield from _strings(inner, leaf)
    elif isinstance(value, list):
        for leaf in value:
            yield from _strings(name, leaf)
    elif isinstance(value, str):
        inner = _opened(value) if name in FREE_TEXT and value[:1] in "[{" else None
        yield from [(name, value)] if inner is None else _strings("", inner)


@lru_cache(maxsize=4096)  # titles, speakers and the traits of personas come again and again
def _is_nobody(name: str, value: str) -> bool:
    return not may_hold(value) and not (name in INNER_SPEAKERS and _speakers(value, frozenset()))


def _known(case: Case, data: dict[str, Any] | None, settings: Settings) -> frozenset[str]:
    """Words that are names somewhere in this record: by a cue, or because they speak."""
    words: set[str] = set()
    for text in case.texts:
        if spans := _spans(text, case, settings):
            words |= evident(text, spans)
    for name in SPEAKERS:
        value = (data or {}).get(name)
        if isinstance(value, str):
            words |= evident(value, _speakers(value, case.exempt))
    return frozenset(words) - case.exempt


def _spans(text: str, case: Case, settings: Settings) -> list[Span]:
    """What `find` says of a text by itself; asked again on the next pass, where the text is mostly the same."""
    if not text:
        return []
    if text not in case.found:
        case.found[text] = find(text, tier=settings.tier, ner=settings.ner, exempt=case.exempt)
    return case.found[text]


def _masked(text: str, case: Case, known: frozenset[str], settings: Settings) -> str:
    spans = _spans(text, case, settings)
    if known and text:
        rest = fold(_outside(text, spans))  # a known word inside of what is found already changes nothing
        if any(word in rest for word in known):
            spans = find(text, tier=settings.tier, ner=settings.ner, known=known, exempt=case.exempt)
    return _put(text, spans, case, settings)


def _outside(text: str, spans: list[Span]) -> str:
    """What stands outside of the names found, each of those as one sign."""
    pieces, start = [], 0
    for span in spans:
        if span.type == "name":
            pieces.append(text[start : span.start])
            start = span.end
    return "|".join([*pieces, text[start:]])


def _field(name: str, value: Any, case: Case, known: frozenset[str], settings: Settings) -> Any:
    """A field of the metadata; JSON inside a string is opened."""
    if name not in SPEAKERS and name not in FREE_TEXT:
        return value
    if isinstance(value, str) and name in FREE_TEXT and value[:1] in "[{" and (inner := _opened(value)) is not None:
        after = _leaves("", inner, case, known, settings)
        return value if after == inner else json.dumps(after, ensure_ascii=False, sort_keys=True)
    return _leaves(name, value, case, known, settings)


def _leaves(name: str, value: Any, case: Case, known: frozenset[str], settings: Settings) -> Any:
    if isinstance(value, dict):
        return {k: _leaves(k, v, case, known, settings) for k, v in value.items()}
    if isinstance(value, list):
        return [_leaves(name, v, case, known, settings) for v in value]
    if not isinstance(value, str):
        return value
    if name in INNER_SPEAKERS:
        value = _put(value, _speakers(value, case.exempt), case, settings)
    return _masked(value, case, known, settings)


def _speakers(value: str, exempt: frozenset[str]) -> list[Span]:
    """Those in a list of speakers who are no roles and no personas: names, or the user names of a forum."""
    spans = []
    for match in re.finditer(r"[^,]+", value):
        label = match.group().strip()
        if ROLES.search(label):
            continue
        if re.fullmatch(r"(?=.*[\d_])@?[A-Za-z_][\w.-]{4,30}", label):
            start = value.index(label, match.start())
            spans.append(Span(start, start + len(label), "username"))
            continue
        words = re.sub(r"^(?:Dr|Mr|Mrs|Ms|Miss|Prof)\b\.? ?", "", label)
        named = (
            len(words) > 1 and words[0].isupper() and words.replace(".", "").replace(" ", "").replace("-", "").isalpha()
        )
        if named and exempt.isdisjoint(map(fold, words.split())):
            start = value.index(words, match.start())
            spans.append(Span(start, start + len(words), "name"))
    return merge(spans)


def _put(text: str, spans: list[Span], case: Case, settings: Settings) -> str:
    if not spans:
        return text
    text, counts = put(text, spans, settings.key)
    case.counts += counts
    return text


def _persona_names(told: dict[str, Any]) -> frozenset[str]:
    """The words of the names on a record's persona cards."""
    cards = _opened(str(told.get("personas", "")))
    if not isinstance(cards, list):
        return frozenset()
    names = [c["name"] for c in cards if isinstance(c, dict) and isinstance(c.get("name"), str)]
    return frozenset(fold(w.strip(".,")) for name in names for w in name.split())


def _parsed(metadata: str | None) -> dict[str, Any] | None:
    data = _opened(metadata or "")
    return data if isinstance(data, dict) else None


def _opened(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None


def _check(settings: Settings) -> None:
    """Say at once what would stop a long run later."""
    if not settings.key:
        raise ValueError("key is empty; give the bytes that the surrogates are derived from")
    if settings.tier == "presidio":
        from pe_ray.safety.pii import breadth

        breadth.check()
    if settings.ner is not None:
        from pe_ray.safety.pii import ner

        ner.load(settings.ner)


def _combined(column: pa.ChunkedArray) -> pa.ListArray:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _with_texts(
    table: pa.Table, messages: pa.ListArray, turns: pa.StructArray, texts: list[str], metadata: list[str]
) -> pa.Table:
    lengths = pc.fill_null(pc.list_value_length(messages), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    said = pa.StructArray.from_arrays([turns.field("role"), pa.array(texts, pa.string())], names=["role", "text"])
    at = table.schema.get_field_index("messages")
    table = table.set_column(at, table.schema.field(at), pa.ListArray.from_arrays(offsets, said))
    at = table.schema.get_field_index("metadata")
    return table.set_column(at, table.schema.field(at), pa.array(metadata, pa.string()))


def _listed(counts: Counter[str]) -> list[dict[str, Any]]:
    return [{"type": kind, "count": counts[kind]} for kind in sorted(counts)]
