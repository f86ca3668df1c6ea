"""A corpus on disk, whole or not at all.

    corpora/<name>/<fingerprint>/
        records/00000.parquet ...   kept records: RECORD_SCHEMA and `split` (train, validation, test)
        review.parquet              held records: RECORD_SCHEMA, `held_for`, `level`, and `content` (what is decided on)
        rejects.parquet             record_id, stage, reason
        quarantine.jsonl            unreadable rows: source, uri, offset (line), field, reason
        clusters.parquet            duplicates: record_id, cluster, survivor, likeness, kind
        decisions.parquet           every record: where its annotation is, and what became of it (`corpus explain`)
        quality.json                scores, shares and means by category, which the next snapshot is compared with
        settings.json               what the sources were told, and the thresholds
        concepts.jsonl              the psychology that the records were made from, by stable id
        README.md                   the data set card
        report.html                 what happened, in one file
        manifest.json               last

Where a gate is not met, everything but the records is written to `corpora/<name>/refused/<fingerprint>/`, without a
manifest: the report can be read, and no later step can take it for a corpus.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pe_ray.config import CheckConfig, Config, config_hash
from pe_ray.corpus import card, drift, history, queue, review
from pe_ray.corpus.decide import HELD, KEPT, REJECTED, Decided, passes, thresholds
from pe_ray.corpus.duplicates import Spread, clusters, texts_of
from pe_ray.corpus.formats import export
from pe_ray.corpus.knowledge import concepts
from pe_ray.corpus.ledger import Ledger, draw_up
from pe_ray.corpus.neardup import Index, Settings
from pe_ray.corpus.neardup import index as neardup_index
from pe_ray.corpus.quality import crisis
from pe_ray.corpus.shards import RECORDS, intact, tier_costs
from pe_ray.corpus.split import SIDES
from pe_ray.errors import GateNotMet, ManifestError
from pe_ray.monitor.memory import give_back
from pe_ray.record import RECORD_SCHEMA, REJECT_SCHEMA, digest
from pe_ray.store import manifest
from pe_ray.store.corpora import open_corpus
from pe_ray.store.paths import Home

FILE_RECORDS = 5000
ROW_GROUP_RECORDS = 1000
KEPT_SCHEMA = RECORD_SCHEMA.append(pa.field("split", pa.string()))
REVIEW_SCHEMA = pa.schema(
    [*RECORD_SCHEMA, ("held_for", pa.list_(pa.string())), ("level", pa.int8()), ("content", pa.string())]
)
DECISION_NAMES = (
    *("id", "source", "uri", "offset", "shard", "position"),
    *("status", "stage", "reason", "held_for", "copies", "split", "decided_by"),
)
SLICE_NAMES = ("shard", "position", "held_for", "decided_by", "merged", "split", "copies")
"""What a file of records is written from, besides the shards."""


class Refused(GateNotMet):
    """A corpus that did not pass a gate: `stage` is its summary (without a manifest), `report` its page."""

    def __init__(self, message: str, stage: dict[str, Any], report_path: Path) -> None:
        super().__init__(message)
        self.stage = stage
        self.report = report_path


@dataclass(frozen=True)
class Draft:
    """All that a snapshot is written from."""

    config: Config
    shards: Sequence[Path]
    decided: Decided
    quarantine: Sequence[Mapping[str, Any]]
    fingerprint: str
    spent: Counter[str] = field(default_factory=Counter)
    """CPU seconds by phase so far."""

    def with_status(self, status: str) -> pa.Table:
        """The key rows of one status, and what each stands for (`merged`)."""
        table = self.decided.table
        rows = np.flatnonzero(pc.equal(table["status"], status).to_numpy(zero_copy_only=False))
        merged = self._merged() if status != REJECTED else {}
        told = pa.array([merged.get(row) for row in rows.tolist()], pa.string())
        return table.take(pa.array(rows)).append_column("merged", told)

    def ledger(self) -> Ledger:
        """The account of this draft."""
        table, balance = self.decided.table, self.decided.balance
        columns = (table[name].to_pylist() for name in ("source", "status", "copies"))
        errors = Counter(u["source"] for u in self.quarantine)
        return draw_up(*columns, errors, self.config.corpus.targets, balance)

    def _merged(self) -> dict[int, str]:
        """Row to what it stands for, as JSON: where each removed duplicate stood, and its topics."""
        table = self.decided.table
        gone = np.flatnonzero(pc.equal(pc.fill_null(table["stage"], ""), "dedup").to_numpy(zero_copy_only=False))
        parts = table.select(["stands_for", "uri", "offset", "topics"]).take(pa.array(gone)).to_pylist()
        found: dict[int, dict[str, list[str]]] = defaultdict(lambda: {"from": [], "topics": []})
        for row, part in zip(gone.tolist(), parts, strict=True):
            if part["stands_for"] != row:
                found[part["stands_for"]]["from"].append(f"{part['uri']}:{part['offset']}")
                found[part["stands_for"]]["topics"] += (part["topics"] or "").split(",")
        return {row: json.dumps(what) for row, what in found.items()}


@dataclass(frozen=True)
class Slice:
    """Decided rows that become one file, and where their records are."""

    rows: pa.Table
    shards: tuple[Path, ...]
    target: Path
    checks: CheckConfig


def write(draft: Draft, home: Home, spread: Spread) -> tuple[Path, dict[str, Any]]:
    """Write the snapshot (unless it is there) and give back its directory and its summary.

    Raises Refused if a gate is not met.
    """
    ledger = draft.ledger()
    name, fingerprint = draft.config.corpus.name, draft.fingerprint
    target = home.corpus(name, fingerprint)
    stage = ledger.as_stage(fingerprint, str(target / manifest.NAME)) | {"review": _review(draft, home)}
    if problem := _gate(draft, ledger):
        _refuse(draft, ledger, home, problem)
    if not _usable(target):
        manifest.sweep(target.parent)
        _write(draft, ledger, home, stage, spread)
    os.utime(target / "records")  # found or written: it is the newest
    if draft.config.corpus.duplicates.save_index and not intact(target / "index", neardup_index.KIND):
        _write_index(draft, target / "index")
    for form in draft.config.corpus.formats:
        export(target, form)
    return target, stage


def _review(draft: Draft, home: Home) -> dict[str, Any]:
    """How many records wait for review and for how long, and what reviewers decided about others."""
    table, at = draft.decided.table, queue.now()
    since = queue.first_held(home, draft.config.corpus.name)
    held = table["id"].filter(pc.equal(table["status"], HELD)).to_pylist()
    ages = [max(0.0, (at - datetime.fromisoformat(since[id])).total_seconds()) if id in since else 0.0 for id in held]
    size = queue.Queue.of(ages)
    ruled = table.filter(pc.is_valid(table["decided_by"]))
    rejected = ruled["stage"].to_pylist().count(review.STAGE)
    return {
        "waiting": size.waiting,
        "approved": len(ruled) - rejected,
        "rejected": rejected,
        **{f"{of}_days": None if s is None else round(s / queue.DAY_S, 2) for of, s in size.ages()},
    }


def _usable(target: Path) -> bool:
    """Whether the snapshot is there and whole; one that was changed is removed, since it can be made again."""
    if not manifest.is_finished(target):
        return False
    try:
        open_corpus(target)
    except ManifestError:
        manifest.remove(target)
        return False
    return True


def _write(draft: Draft, ledger: Ledger, home: Home, stage: dict[str, Any], spread: Spread) -> None:
    target = home.corpus(draft.config.corpus.name, draft.fingerprint)
    in_force = sorted(set(pc.list_flatten(draft.decided.table["decided_by"]).to_pylist()))
    parents = {"config": config_hash(draft.config, ("corpus",))} | ({"review": digest(*in_force)} if in_force else {})
    with manifest.stage(target, kind="corpus", parents=parents) as out:
        (out / "records").mkdir()
        for seconds in spread(write_slice, _slices(draft, out / "records")):
            draft.spent["write"] += seconds
        _write_review(draft, out / "review.parquet")
        give_back()  # what follows is when this process is at its largest
        _write_account(draft, ledger, home, out.path, stage)
        facts = card.facts_of(
            draft.config.corpus, draft.decided.table, pq.read_table(out / "clusters.parquet"), stage, _splits(draft)
        )
        (out / card.NAME).write_text(card.render(facts, out / "records"), encoding="utf-8")
        out.facts.update({k: v for k, v in stage.items() if k != "manifest"}, splits=_splits(draft))
        out.facts["decisions"] = in_force
        out.facts["cpu_s"] = {phase: round(seconds, 3) for phase, seconds in sorted(draft.spent.items())}


def write_slice(piece: Slice) -> float:
    """One file of kept records, each as often as it was taken, with the verdicts under the thresholds in force.

    Returns the CPU seconds that it took.
    """
    began = time.process_time()
    table = fetch(piece.rows, piece.shards, piece.checks)
    table = table.append_column("split", piece.rows["split"].combine_chunks())
    copies = np.repeat(np.arange(len(table)), piece.rows["copies"].to_numpy())
    table = table.take(pa.array(copies)).select(KEPT_SCHEMA.names).combine_chunks()
    pq.write_table(table, piece.target, compression="zstd", row_group_size=ROW_GROUP_RECORDS)
    return time.process_time() - began


def fetch(rows: pa.Table, shards: Sequence[Path], checks: CheckConfig) -> pa.Table:
    """The annotated records of some key rows, in their order, with `passed` of each verdict as decided."""
    numbers, positions = rows["shard"].to_numpy(), rows["position"].to_numpy()
    pieces, order = [], []
    for number in np.unique(numbers).tolist():
        here = np.flatnonzero(numbers == number)
        table = pq.read_table(shards[number] / RECORDS, columns=RECORD_SCHEMA.names)
        pieces.append(table.take(pa.array(positions[here])))
        order.append(here)
    table = pa.concat_tables(pieces) if pieces else RECORD_SCHEMA.empty_table()
    table = table.take(pa.array(np.argsort(np.concatenate(order or [np.empty(0, np.int64)]), kind="stable")))
    starts = range(0, len(table), ROW_GROUP_RECORDS)
    told = [_told(table.slice(at, ROW_GROUP_RECORDS), rows.slice(at, ROW_GROUP_RECORDS), checks) for at in starts]
    return pa.concat_tables(told) if told else table


def _told(table: pa.Table, rows: pa.Table, checks: CheckConfig) -> pa.Table:
    """A few records with what was decided written into them; as Python objects a whole file of them would be large."""
    held = [bool(h) for h in rows["held_for"].to_pylist()]
    verdicts = [_passed(v, h, checks) for v, h in zip(table["verdicts"].to_pylist(), held, strict=True)]
    metadata = [
        _with_merged(_with_review(m, by), told)
        for m, by, told in zip(
            *(c.to_pylist() for c in (table["metadata"], rows["decided_by"], rows["merged"])), strict=True
        )
    ]
    for name, values in (("verdicts", verdicts), ("metadata", metadata)):
        at = RECORD_SCHEMA.get_field_index(name)
        table = table.set_column(at, RECORD_SCHEMA.field(at), pa.array(values, RECORD_SCHEMA.field(at).type))
    return table


def _with_merged(metadata: str, told: str | None) -> str:
    """A survivor's metadata: `merged_from` names the places of its duplicates, and their topics are its own."""
    if told is None:
        return metadata
    merged, known = json.loads(told), json.loads(metadata)
    known["merged_from"] = json.dumps(sorted(merged["from"]))
    topics = dict.fromkeys(t for t in (*known.get("topics", "").split(","), *sorted(merged["topics"])) if t)
    if topics:
        known["topics"] = ",".join(topics)
    return json.dumps(known, ensure_ascii=False, sort_keys=True)


def _with_review(metadata: str, decided_by: list[str] | None) -> str:
    """An approved record's metadata: that it was, and by which decisions."""
    if not decided_by:
        return metadata
    told = {"review": "approved", "review_decisions": ",".join(decided_by)}
    return json.dumps(json.loads(metadata) | told, ensure_ascii=False, sort_keys=True)


def _passed(verdicts: list[dict[str, Any]], held: bool, checks: CheckConfig) -> list[dict[str, Any]]:
    least = thresholds(checks)
    return [
        v | {"passed": not held if v["check"] == crisis.NAME else passes(v["score"], least[v["check"]])}
        for v in verdicts
    ]


def _slices(draft: Draft, folder: Path) -> list[Slice]:
    kept, checks = draft.with_status(KEPT), draft.config.corpus.checks
    return [
        Slice(rows.select(SLICE_NAMES), tuple(draft.shards), folder / f"{number:05d}.parquet", checks)
        for number, rows in enumerate(_batches(kept))
    ]


def _write_review(draft: Draft, path: Path) -> None:
    with pq.ParquetWriter(path, REVIEW_SCHEMA, compression="zstd") as writer:
        for rows in _batches(draft.with_status(HELD)):
            table = fetch(rows, draft.shards, draft.config.corpus.checks)
            for name, key in (("held_for", "held_for"), ("level", "crisis_level"), ("content", "row_key")):
                table = table.append_column(name, rows[key].combine_chunks())
            writer.write_table(table)


def _write_account(
    draft: Draft, ledger: Ledger, home: Home, folder: Path, stage: Mapping[str, Any], problem: str | None = None
) -> None:
    began = time.process_time()
    rows = draft.with_status(REJECTED).select(["id", "stage", "reason"]).rename_columns(REJECT_SCHEMA.names)
    keys = [("record_id", "ascending"), ("stage", "ascending"), ("reason", "ascending")]
    rejects = rows.cast(REJECT_SCHEMA).sort_by(keys).combine_chunks()
    pq.write_table(rejects, folder / "rejects.parquet", compression="zstd")
    lines = "".join(json.dumps(dict(u), ensure_ascii=False) + "\n" for u in draft.quarantine)
    (folder / "quarantine.jsonl").write_text(lines, encoding="utf-8")
    concepts.write(folder / "concepts.jsonl", concepts.collect(_concept_rows(draft)))
    found = clusters(draft.decided.table["id"], draft.decided.duplicates)
    pq.write_table(found, folder / "clusters.parquet", compression="zstd")
    pq.write_table(_decisions(draft), folder / "decisions.parquet", compression="zstd")
    corpus = draft.config.corpus.model_dump(mode="json", include={"name", "sources", "checks", "review"})
    manifest.write_json(folder / "settings.json", corpus)
    manifest.write_json(
        folder / history.NAME, drift.describe(draft.decided.table, thresholds(draft.config.corpus.checks))
    )
    draft.spent["write"] += time.process_time() - began
    _write_page(draft, ledger, home, folder, stage, problem)


def _concept_rows(draft: Draft) -> Iterator[concepts.Row]:
    """What the records without a fault tell of their concepts."""
    columns = ["concept_id", "fault", "metadata", "uri", "offset", "licence", "attribution"]
    for shard in dict.fromkeys(draft.shards):
        table = pq.read_table(shard / RECORDS, columns=columns)
        wanted = pc.and_(pc.is_valid(table["concept_id"]), pc.is_null(table["fault"]))
        for row in table.filter(wanted).select(columns[2:]).to_pylist():
            yield concepts.Row(json.loads(row.pop("metadata")), **row)


def _write_index(draft: Draft, folder: Path) -> None:
    """The kept records, and those of the index that this corpus was built against, for the next crawl."""
    told = draft.config.corpus.duplicates
    settings = Settings(told.permutations, told.bands, told.ngram, told.threshold)
    parts = [Index.open(told.index, settings)] if told.index else []
    kept = draft.with_status(KEPT)
    if parts:
        kept = kept.filter(pc.invert(pc.is_in(kept["id"], parts[0].ids)))
    by_shard = kept["shard"].to_numpy()
    for number in np.unique(by_shard).tolist():
        rows = kept.filter(pa.array(by_shard == number))
        texts = texts_of(draft.shards[number]).take(rows["position"].combine_chunks())
        parts.append(Index.of(texts, rows["id"], settings))
    Index.joined(parts, settings).save(folder)


def _decisions(draft: Draft) -> pa.Table:
    """What `corpus explain` looks up: a row for each record, its shard by key."""
    table = draft.decided.table.select(list(DECISION_NAMES))
    names = pa.array([s.name for s in draft.shards], pa.string())
    at = table.schema.get_field_index("shard")
    return table.set_column(at, "shard", names.take(table["shard"].combine_chunks())).combine_chunks()


def _write_page(
    draft: Draft, ledger: Ledger, home: Home, folder: Path, stage: Mapping[str, Any], problem: str | None
) -> None:
    from pe_ray.corpus import report, tally  # matplotlib and jinja2, which no other step and no worker needs

    config, table = draft.config.corpus, draft.decided.table
    wanted = table.take(pa.array(tally.examples_wanted(table), pa.int64()))
    rejected = fetch(wanted.append_column("merged", pa.nulls(len(wanted), pa.string())), draft.shards, config.checks)
    data = report.gather(
        config,
        table,
        ledger,
        draft.quarantine,
        draft.fingerprint,
        problem=problem,
        clusters=pq.read_table(folder / "clusters.parquet"),
        rejected=rejected,
        concepts=concepts.count(concepts.read(folder / "concepts.jsonl")),
        cpu_s=draft.spent,
        tiers=tier_costs(draft.shards),
        review=stage["review"],
        quality=history.read(folder),
        earlier=[s for s in history.history(home, config.name) if s.fingerprint != draft.fingerprint],
    )
    (folder / "report.html").write_text(report.render(data), encoding="utf-8")


def _gate(draft: Draft, ledger: Ledger) -> str | None:
    least = draft.config.corpus.min_processed
    if ledger.total.processed < least:
        worst = sorted((a.processed, name) for name, a in ledger.by_source.items() if a.errors)
        named = ", ".join(f"{name} {share:.4f}" for share, name in worst)
        return (
            f"corpus.min_processed={least:g}: only {ledger.total.processed:.4f} of the rows could be read "
            f"({ledger.total.errors} of {ledger.total.records_in} could not; by source: {named}); "
            "repair the rows that the report lists"
        )
    return draft.decided.balance.problem


def _refuse(draft: Draft, ledger: Ledger, home: Home, problem: str) -> None:
    folder = home.corpus(draft.config.corpus.name, "refused") / draft.fingerprint
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    stage = ledger.as_stage(draft.fingerprint, "") | {"review": _review(draft, home)}
    _write_account(draft, ledger, home, folder, stage, problem)
    page = folder / "report.html"
    raise Refused(f"{problem}; report: {page}", stage, page)


def _splits(draft: Draft) -> dict[str, dict[str, int]]:
    kept = draft.with_status(KEPT)
    counted = Counter(zip(kept["split"].to_pylist(), kept["domain"].to_pylist(), strict=True))
    return {side: {d: n for (s, d), n in sorted(counted.items()) if s == side} for side in SIDES}


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(rows), FILE_RECORDS):
        yield rows.slice(start, FILE_RECORDS)
