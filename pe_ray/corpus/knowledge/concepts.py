"""The concept store: every concept of the corpus, once, with all the places that speak of it.

It is made from the metadata of records alone, so that what cleaning, checks and de-duplication left is what counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from pe_ray.corpus.knowledge.criteria_set import CriteriaSet
from pe_ray.corpus.knowledge.entry import distinct, fold
from pe_ray.record import Record

TARGET_CONCEPTS = 4867
"""How many concepts a full library is to hold; the report prints the count against it."""


@dataclass(frozen=True)
class Origin:
    """One place that speaks of a concept, and what it says."""

    uri: str
    offset: int
    licence: str
    attribution: str
    definition: str


@dataclass(frozen=True)
class Concept:
    """A concept with a stable id: its vocabulary's own, or one that follows from its name.

    Of several origins the first by uri and offset gives the name, kind and definition; lists are joined.
    """

    id: str
    name: str
    kind: str
    definition: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]
    related: tuple[str, ...]
    origins: tuple[Origin, ...]
    criteria: CriteriaSet | None = None

    @property
    def uri(self) -> str:
        return self.origins[0].uri

    @property
    def offset(self) -> int:
        return self.origins[0].offset

    @property
    def licence(self) -> str:
        return self.origins[0].licence

    @property
    def attribution(self) -> str:
        return self.origins[0].attribution


class Row(NamedTuple):
    """What a record tells of its concept."""

    metadata: Mapping[str, str]
    uri: str
    offset: int
    licence: str
    attribution: str


def concepts(records: Iterable[Record]) -> list[Concept]:
    """The concepts that records speak of; a record without a concept_id (a passage) has none."""
    return collect(Row(r.metadata, r.uri, r.offset, r.licence, r.attribution) for r in records)


def collect(rows: Iterable[Row | tuple[Mapping[str, str], str, int, str, str]]) -> list[Concept]:
    """The same from (metadata, uri, offset, licence, attribution), sorted by id, whatever the order of the rows."""
    by_id: dict[str, list[Row]] = {}
    for row in map(Row._make, rows):
        if concept_id := row.metadata.get("concept_id"):
            by_id.setdefault(concept_id, []).append(row)
    return [_concept(concept_id, by_id[concept_id]) for concept_id in sorted(by_id)]


def count(found: Sequence[Concept]) -> dict[str, object]:
    """What the report says: how many, of which kinds, how many names, how far from the target."""
    kinds = Counter(c.kind for c in found)
    return {
        "concepts": len(found),
        "target": TARGET_CONCEPTS,
        "share": len(found) / TARGET_CONCEPTS,
        "names": len({fold(c.name) for c in found}),
        "several_origins": sum(len(c.origins) > 1 for c in found),
        "kinds": dict(sorted(kinds.items(), key=lambda k: (-k[1], k[0]))),
    }


def write(path: Path, found: Iterable[Concept]) -> Path:
    """A JSON line for each concept, sorted by id: the same concepts give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as handle:
        for concept in sorted(found, key=lambda c: c.id):
            handle.write(json.dumps(asdict(concept), ensure_ascii=False, sort_keys=True) + "\n")
    return unfinished.replace(path)


def read(path: Path) -> list[Concept]:
    """The concepts of a file that `write` wrote; raises ValueError with the line for any other."""
    with path.open(encoding="utf-8") as handle:
        return list(_read(handle, path.name))


def _read(lines: Iterable[str], name: str) -> Iterator[Concept]:
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            lists = {key: tuple(data[key]) for key in ("synonyms", "parents", "related")}
            origins = tuple(Origin(**origin) for origin in data["origins"])
            criteria = CriteriaSet.from_json(json.dumps(data["criteria"])) if data["criteria"] else None
            yield Concept(**data | lists | {"origins": origins, "criteria": criteria})
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{name}, line {number}: is no concept; a line of concepts.write is wanted") from None


def _concept(concept_id: str, rows: list[Row]) -> Concept:
    ordered = sorted(rows, key=lambda r: (r.uri, r.offset, json.dumps(dict(r.metadata), sort_keys=True)))
    first = ordered[0].metadata
    name = first.get("name", concept_id)
    criteria = next((r.metadata["criteria"] for r in ordered if r.metadata.get("criteria")), None)
    return Concept(
        id=concept_id,
        name=name,
        kind=first.get("category", ""),
        definition=next((d for r in ordered if (d := r.metadata.get("definition"))), ""),
        synonyms=_listed(ordered, "synonyms", name),
        parents=_listed(ordered, "parents", name),
        related=_listed(ordered, "related", name),
        origins=tuple(dict.fromkeys(_origin(row) for row in ordered)),
        criteria=CriteriaSet.from_json(criteria) if criteria else None,
    )


def _origin(row: Row) -> Origin:
    return Origin(row.uri, row.offset, row.licence, row.attribution, row.metadata.get("definition", ""))


def _listed(rows: Sequence[Row], key: str, name: str) -> tuple[str, ...]:
    return distinct([item for row in rows for item in _items(row.metadata.get(key, ""))], but=name)


def _items(value: str) -> list[str]:
    """A JSON list, or labels joined by commas, as rows of JSON lines have them."""
    if not value.startswith("["):
        return value.split(",")
    try:
        items = json.loads(value)
    except ValueError:
        return [value]
    return [str(item) for item in items]
