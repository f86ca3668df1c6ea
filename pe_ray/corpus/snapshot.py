"""A corpus on disk, whole or not at all.

    corpora/<name>/<fingerprint>/
        records/00000.parquet ...   kept records: RECORD_SCHEMA and `split` (train, validation)
        review.parquet              held records: RECORD_SCHEMA and `held_for`
        rejects.parquet             record_id, stage, reason
        quarantine.jsonl            unreadable rows: source, uri, offset (line), field, reason
        report.html                 what happened, in one file
        manifest.json               last

Where a gate is not met, everything but the records is written to `corpora/<name>/refused/<fingerprint>/`, without a
manifest: the report can be read, and no later step can take it for a corpus.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pe_ray.config import CheckConfig, Config, config_hash
from pe_ray.corpus.decide import HELD, KEPT, REJECTED, Decided, passes, thresholds
from pe_ray.corpus.ledger import Ledger, draw_up
from pe_ray.corpus.quality import crisis
from pe_ray.errors import GateNotMet, ManifestError
from pe_ray.record import RECORD_SCHEMA, REJECT_SCHEMA
from pe_ray.store import manifest
from pe_ray.store.paths import Home

FILE_RECORDS = 5000
ROW_GROUP_RECORDS = 1000
KEPT_SCHEMA = RECORD_SCHEMA.append(pa.field("split", pa.string()))
REVIEW_SCHEMA = RECORD_SCHEMA.append(pa.field("held_for", pa.list_(pa.string())))


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
    annotations: Path
    decided: Decided
    quarantine: Sequence[Mapping[str, Any]]
    fingerprint: str

    def with_status(self, status: str) -> pa.Table:
        """The key rows of one status."""
        return self.decided.table.filter(pc.equal(self.decided.table["status"], status))

    def ledger(self) -> Ledger:
        """The account of this draft."""
        table, balance = self.decided.table, self.decided.balance
        columns = (table[name].to_pylist() for name in ("source", "status", "copies"))
        errors = Counter(u["source"] for u in self.quarantine)
        return draw_up(*columns, errors, self.config.corpus.targets, balance)


@dataclass(frozen=True)
class Slice:
    """Decided rows that become one file, and where their records are."""

    rows: pa.Table
    annotations: Path
    target: Path
    checks: CheckConfig


def write(
    draft: Draft, home: Home, spread: Callable[[Callable[[Slice], None], Sequence[Slice]], None]
) -> tuple[Path, dict[str, Any]]:
    """Write the snapshot (unless it is there) and give back its directory and its summary.

    Raises Refused if a gate is not met.
    """
    ledger = draft.ledger()
    name, fingerprint = draft.config.corpus.name, draft.fingerprint
    target = home.corpus(name, fingerprint)
    stage = ledger.as_stage(fingerprint, str(target / manifest.NAME))
    if problem := _gate(draft, ledger):
        _refuse(draft, ledger, home.corpus(name, "refused") / fingerprint, problem)
    if intact(target, "corpus"):
        return target, stage
    parents = {"config": config_hash(draft.config, ("corpus",)), "annotations": draft.annotations.name}
    with manifest.stage(target, kind="corpus", parents=parents) as out:
        (out / "records").mkdir()
        spread(write_slice, _slices(draft, out / "records"))
        _write_review(draft, out / "review.parquet")
        _write_account(draft, ledger, out.path, None)
        out.facts.update({k: v for k, v in stage.items() if k != "manifest"}, splits=_splits(draft))
    return target, stage


def intact(directory: Path, kind: str) -> bool:
    """Whether a finished directory is there and whole; a damaged one is removed, since it can be made again."""
    if not manifest.is_finished(directory):
        return False
    try:
        manifest.read(directory, kind)
    except ManifestError:
        shutil.rmtree(directory)
        return False
    return True


def write_slice(piece: Slice) -> None:
    """One file of kept records, each as often as it was taken, with the verdicts under the thresholds in force."""
    table = fetch(piece.rows, piece.annotations, piece.checks)
    table = table.append_column("split", piece.rows["split"].combine_chunks())
    copies = [i for i, n in enumerate(piece.rows["copies"].to_pylist()) for _ in range(n)]
    table = table.take(pa.array(copies, pa.int64())).select(KEPT_SCHEMA.names).combine_chunks()
    pq.write_table(table, piece.target, compression="zstd", row_group_size=ROW_GROUP_RECORDS)


def fetch(rows: pa.Table, annotations: Path, checks: CheckConfig) -> pa.Table:
    """The annotated records of some key rows, in their order, with `passed` of each verdict as decided."""
    files = rows["file"].to_pylist()
    pieces, order = [], []
    for file in dict.fromkeys(files):
        here = [i for i, f in enumerate(files) if f == file]
        positions = rows["position"].take(pa.array(here))
        pieces.append(pq.read_table(annotations / "records" / file, columns=RECORD_SCHEMA.names).take(positions))
        order += here
    back = sorted(range(len(order)), key=order.__getitem__)
    table = pa.concat_tables(pieces).take(pa.array(back, pa.int64()))
    held = [bool(h) for h in rows["held_for"].to_pylist()]
    verdicts = [_passed(v, h, checks) for v, h in zip(table["verdicts"].to_pylist(), held, strict=True)]
    field = RECORD_SCHEMA.field("verdicts")
    return table.set_column(RECORD_SCHEMA.get_field_index("verdicts"), field, pa.array(verdicts, field.type))


def _passed(verdicts: list[dict[str, Any]], held: bool, checks: CheckConfig) -> list[dict[str, Any]]:
    least = thresholds(checks)
    return [
        v | {"passed": not held if v["check"] == crisis.NAME else passes(v["score"], least[v["check"]])}
        for v in verdicts
    ]


def _slices(draft: Draft, folder: Path) -> list[Slice]:
    kept, checks = draft.with_status(KEPT), draft.config.corpus.checks
    return [
        Slice(rows, draft.annotations, folder / f"{number:05d}.parquet", checks)
        for number, rows in enumerate(_batches(kept))
    ]


def _write_review(draft: Draft, path: Path) -> None:
    with pq.ParquetWriter(path, REVIEW_SCHEMA, compression="zstd") as writer:
        for rows in _batches(draft.with_status(HELD)):
            table = fetch(rows, draft.annotations, draft.config.corpus.checks)
            writer.write_table(table.append_column("held_for", rows["held_for"].combine_chunks()))


def _write_account(draft: Draft, ledger: Ledger, folder: Path, problem: str | None) -> None:
    from pe_ray.corpus import report  # matplotlib and jinja2, which no other step and no worker needs

    rows = draft.with_status(REJECTED).select(["id", "stage", "reason"]).rename_columns(REJECT_SCHEMA.names)
    keys = [("record_id", "ascending"), ("stage", "ascending"), ("reason", "ascending")]
    rejects = rows.cast(REJECT_SCHEMA).sort_by(keys).combine_chunks()
    pq.write_table(rejects, folder / "rejects.parquet", compression="zstd")
    lines = "".join(json.dumps(dict(u), ensure_ascii=False) + "\n" for u in draft.quarantine)
    (folder / "quarantine.jsonl").write_text(lines, encoding="utf-8")
    page = report.render(draft.config.corpus, draft.decided, ledger, draft.quarantine, draft.fingerprint, problem)
    (folder / "report.html").write_text(page, encoding="utf-8")


def _gate(draft: Draft, ledger: Ledger) -> str | None:
    least = draft.config.corpus.min_processed
    if ledger.total.processed < least:
        return (
            f"corpus.min_processed={least:g}: only {ledger.total.processed:.4f} of the rows could be read "
            f"({ledger.total.errors} of {ledger.total.records_in} could not); repair the rows that the report lists"
        )
    return draft.decided.balance.problem


def _refuse(draft: Draft, ledger: Ledger, folder: Path, problem: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write_account(draft, ledger, folder, problem)
    page = folder / "report.html"
    raise Refused(f"{problem}; report: {page}", ledger.as_stage(draft.fingerprint, ""), page)


def _splits(draft: Draft) -> dict[str, dict[str, int]]:
    kept = draft.with_status(KEPT)
    counted = Counter(zip(kept["split"].to_pylist(), kept["domain"].to_pylist(), strict=True))
    return {side: {d: n for (s, d), n in sorted(counted.items()) if s == side} for side in ("train", "validation")}


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(rows), FILE_RECORDS):
        yield rows.slice(start, FILE_RECORDS)
