"""`pe-ray corpus explain`: a record's whole story, from the row it was read from to the file it went to.

A record is named by its id (or the beginning of one), a row that could not be read by `file:line`. The story quotes the
record: it is for the eyes of whoever may read the corpus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pe_ray.config import CheckConfig, SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.decide import HELD, REJECTED, passes, thresholds
from pe_ray.corpus.quality import crisis, spans
from pe_ray.corpus.reading import ReadPlan, Unreadable
from pe_ray.corpus.shards import RECORDS
from pe_ray.errors import UserError
from pe_ray.record import RECORD_SCHEMA, from_table
from pe_ray.store import manifest
from pe_ray.store.paths import Home

SHORTEST_ID = 6
NAMED_IDS = 5
"""Most ids that are named where a beginning fits several."""


@dataclass(frozen=True)
class Story:
    """What is known about one row of a corpus; parts that do not apply are None."""

    corpus: str
    status: str
    """kept, rejected, held, or quarantined."""
    place: dict[str, Any]
    """source, uri, offset, id, licence, attribution, content_type, domain."""
    raw: list[dict[str, str]] | None
    """The messages as they were read; None where the source is no longer there."""
    cleaned: list[dict[str, str]] | None
    changes: list[str]
    verdicts: list[dict[str, Any]]
    """check, score, least, passed, reason."""
    places: list[dict[str, Any]]
    """check, rule, message, start, end: where the checks saw what they say."""
    notes: dict[str, Any]
    """language, personal data, markers, crisis level, labels."""
    cluster: list[dict[str, Any]]
    """record_id, survivor, likeness, kind of each member of its cluster."""
    decision: dict[str, Any]
    """stage, reason, held_for, copies, split, decided_by (decisions of reviewers)."""
    went_to: str
    """The file that holds it."""


def explain(home: Home, ref: str, name: str | None = None) -> Story:
    """The story of a record in the newest corpus that knows it.

    Raises UserError if no corpus does, or if the beginning of an id fits several records.
    """
    for folder in corpora(home, name):
        story = _of_record(home, folder, ref) or _of_row(folder, ref)
        if story:
            return story
    where = f"corpus {name}" if name else f"any corpus under {home.root / 'corpora'}"
    raise UserError(
        f"record={ref}: is not in {where}; give an id as in rejects.parquet ({SHORTEST_ID} digits or more), "
        "or file:line of a row in quarantine.jsonl"
    )


def corpora(home: Home, name: str | None = None) -> list[Path]:
    """Folders of finished and refused corpora, the newest first. Raises UserError for a name that no corpus has."""
    root = home.root / "corpora"
    names = sorted(p.name for p in root.glob("*") if p.is_dir())
    if name is not None and name not in names:
        raise UserError(f"corpus={name}: no corpus of that name; there are {', '.join(names) or 'none'}")
    found = [p.parent for p in root.glob(f"{name or '*'}/**/decisions.parquet")]
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda p: -p.stat().st_mtime)


def _of_record(home: Home, folder: Path, ref: str) -> Story | None:
    table = pq.read_table(folder / "decisions.parquet")
    fits = table.filter(pc.starts_with(table["id"], ref)) if len(ref) >= SHORTEST_ID else table.slice(0, 0)
    rows = (fits if len(fits) else _at_place(table, ref)).to_pylist()
    ids = sorted({row["id"] for row in rows})
    if len(ids) > 1:
        more = ", ..." if len(ids) > NAMED_IDS else ""
        raise UserError(f"record={ref}: fits {len(ids)} records; give one id of {', '.join(ids[:NAMED_IDS])}{more}")
    rows.sort(key=lambda row: row["status"] == REJECTED)  # a file that is listed twice gives two rows of one id
    return _story(home, folder, rows[0]) if rows else None


def _at_place(table: pa.Table, ref: str) -> pa.Table:
    """The records of a row, which may be told apart from another source's: `uri:offset` or `source:uri:offset`."""
    place, _, offset = ref.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,18}", offset):
        return table.slice(0, 0)
    named = pc.binary_join_element_wise(table["source"], table["uri"], ":")
    here = pc.or_(pc.equal(table["uri"], place), pc.equal(named, place))
    return table.filter(pc.and_(here, pc.equal(table["offset"], int(offset))))


def _story(home: Home, folder: Path, row: Mapping[str, Any]) -> Story:
    shard = _shards(home, folder) / row["shard"]
    annotated = _annotated(shard, row["position"]) or _written(folder, row)
    settings = _settings(folder)
    names = ("source", "uri", "offset", "id", "licence", "attribution", "content_type", "domain")
    return Story(
        corpus=_name(folder),
        status=row["status"],
        place={n: annotated.get(n, row.get(n)) for n in names},
        raw=_raw(settings["sources"], row),
        cleaned=annotated.get("messages"),
        changes=annotated.get("changes") or [],
        verdicts=_verdicts(annotated.get("verdicts") or [], CheckConfig.model_validate(settings["checks"]), row),
        places=_places(annotated),
        notes=_notes(annotated),
        cluster=_cluster(folder, row["id"]),
        decision={n: row.get(n) for n in ("stage", "reason", "held_for", "copies", "split", "decided_by")},
        went_to=_went_to(folder, row),
    )


def _of_row(folder: Path, ref: str) -> Story | None:
    lines = (folder / "quarantine.jsonl").read_text(encoding="utf-8").split("\n")
    for row in (json.loads(line) for line in lines if line):
        name = f"{row['uri']}:{row['offset']}"
        if ref in (name, f"{row['source']}:{name}"):
            break
    else:
        return None
    decision = {"stage": "read", "reason": f"{row['field']}: {row['reason']}"}
    place = {n: row[n] for n in ("source", "uri", "offset")}
    went_to = str(folder / "quarantine.jsonl")
    return Story(_name(folder), "quarantined", place, None, None, [], [], [], {}, [], decision, went_to)


def _name(folder: Path) -> str:
    return f"{folder.parents[1].name} (refused)" if folder.parent.name == "refused" else folder.parent.name


def _shards(home: Home, folder: Path) -> Path:
    parent = folder.parent.parent if folder.parent.name == "refused" else folder.parent
    return parent / "shards"


def _settings(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "settings.json").read_text(encoding="utf-8"))


def _annotated(shard: Path, position: int) -> dict[str, Any]:
    """The record as the stages left it; empty if its shard has been deleted."""
    if not manifest.is_finished(shard):
        return {}
    file, start = pq.ParquetFile(shard / RECORDS), 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if position < start + size:
            return file.read_row_group(group).slice(position - start, 1).to_pylist()[0]
        start += size
    return {}


def _written(folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the snapshot itself holds of a kept or held record; less than its shard did."""
    for path in [*sorted((folder / "records").glob("*.parquet")), *folder.glob("review.parquet")]:
        if found := pq.read_table(path, filters=pc.field("id") == row["id"]).to_pylist():
            return found[0]
    return {}


def _raw(specs: list[dict[str, Any]], row: Mapping[str, Any]) -> list[dict[str, str]] | None:
    """The record read again from its source; None if that has changed or gone."""
    for data in specs:
        spec = SourceSpec.model_validate(data)
        if spec.source != row["source"]:
            continue
        try:
            files = tuple(f for f in sources.plan(spec).files if f.uri == row["uri"])
        except ValueError:
            continue
        for item in sources.read(spec, ReadPlan(files)) if files else ():
            if not isinstance(item, Unreadable) and item.id == row["id"]:
                return [asdict(m) for m in item.messages]
    return None


def _verdicts(verdicts: list[dict[str, Any]], checks: CheckConfig, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    least = thresholds(checks)
    found = []
    for v in verdicts:
        own = v["check"] == crisis.NAME
        passed = row["status"] != HELD if own else passes(v["score"], least[v["check"]])
        found.append({**v, "least": None if own else least[v["check"]], "passed": passed})
    return found


def _places(annotated: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Found anew in the record as the checks read it; none where that is not to be had."""
    if not annotated.get("messages"):
        return []
    record = next(from_table(pa.Table.from_pylist([dict(annotated)], schema=RECORD_SCHEMA)))
    return [asdict(place) for place in spans.places(record)]


def _notes(annotated: Mapping[str, Any]) -> dict[str, Any]:
    notes = {
        n: annotated.get(n) for n in ("language", "pii", "crisis_level", "crisis_classes", "contaminated", "fault")
    }
    notes["markers"] = json.loads(annotated.get("markers") or "null")
    notes["metadata"] = json.loads(annotated.get("metadata") or "null")
    return {n: value for n, value in notes.items() if value not in (None, [], "")}


def _cluster(folder: Path, record_id: str) -> list[dict[str, Any]]:
    table = pq.read_table(folder / "clusters.parquet")
    mine = table.filter(pc.equal(table["record_id"], record_id))
    return table.filter(pc.is_in(table["cluster"], mine["cluster"].combine_chunks())).to_pylist() if len(mine) else []


def _went_to(folder: Path, row: Mapping[str, Any]) -> str:
    if row["status"] == REJECTED:
        return str(folder / "rejects.parquet")
    if row["status"] == HELD and (folder / "review.parquet").exists():
        return str(folder / "review.parquet")
    for path in sorted((folder / "records").glob("*.parquet")):
        ids = pq.read_table(path, columns=["id"])["id"].to_pylist()
        if row["id"] in ids:
            return f"{path}, row {ids.index(row['id'])}"
    return f"{folder} (refused: its records were not written)"


def lines(story: Story) -> Iterator[str]:
    """The story as text for a terminal."""
    where = story.place
    yield f"{where['source']}  {where['uri']}:{where['offset']}  {where.get('id', '')}"
    yield f"corpus     {story.corpus}"
    if where.get("licence"):
        yield f"origin     {where['content_type']}, {where['domain']}; {where['licence']}; {where['attribution']}"
    yield f"decision   {story.status}{_because(story.decision)}"
    yield f"went to    {story.went_to}"
    if story.status == "quarantined":
        return
    yield from _conversation("as read", story.raw, "the source has changed or gone")
    if story.cleaned is not None:
        yield f"changes    {', '.join(story.changes) or 'none'}"
    if story.cleaned is None or story.cleaned != story.raw:
        yield from _conversation("cleaned", story.cleaned, "its shard was deleted; build the corpus again")
    for v in story.verdicts:
        least = f" (least {v['least']:g})" if v["least"] is not None else ""
        yield f"  {'pass' if v['passed'] else 'FAIL'}  {v['check']:<16}{v['score']:.3f}{least}  {v['reason']}"
    yield from _quoted(story)
    for name, value in story.notes.items():
        yield f"{name:<14} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
    for member in story.cluster:
        likeness = f"likeness {member['likeness']:g} to {member['survivor']}"
        yield f"  cluster  {member['record_id']}  {member['kind']}, {likeness}"


def _quoted(story: Story) -> Iterator[str]:
    for place in story.places:
        words = (story.cleaned or [])[place["message"]]["text"][place["start"] : place["end"]]
        yield f"  found {place['check']:<16}{place['rule']}: “{words}” (message {place['message']})"


def _because(decision: Mapping[str, Any]) -> str:
    if decision.get("held_for"):
        return f" for {', '.join(decision['held_for'])}"
    if decision.get("stage"):
        return f" by {decision['stage']}: {decision['reason']}"
    copies = f", {decision['copies']} times" if (decision.get("copies") or 1) > 1 else ""
    approved = f", {decision['reason']}" if decision.get("reason") else ""
    return f" in {decision['split']}{copies}{approved}"


def _conversation(title: str, messages: list[dict[str, str]] | None, missing: str) -> Iterator[str]:
    if messages is None:
        yield f"{title:<11}not to be had: {missing}"
        return
    yield title
    for message in messages:
        yield f"  {message['role']}: {message['text']}"
