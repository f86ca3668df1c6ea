"""A corpus of which 30 % of the answers were shuffled between questions: what the build rejects, and what it loses.

    for row in results(): print(row["name"], row["value"])

The questions are those of CounselChat that the model of pairs never saw. The build is an ordinary one in this process,
at the thresholds that ship. What `rejects.parquet` says is counted, among the records that came as far as `coherence`.
Beside it stands what the card says of random wrong answers and of true pairs at that threshold.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pe_ray.config import Config, CorpusConfig, SourceSpec
from pe_ray.corpus.pipeline import build
from pe_ray.corpus.quality import coherence
from pe_ray.corpus.sources import standard
from pe_ray.record import Record, digest
from pe_ray.safety.learn import counselchat, figures, load
from pe_ray.safety.learn.task import data_root
from pe_ray.store.paths import Home

SHARE = 0.3
NAMES = {"shuffled.rejected": "mismatch.random_under_threshold", "shuffled.kept": "mismatch.kept_at_threshold"}
"""Figures of the build, and the figures of the card that they should agree with."""

BEFORE = ("clean", "decontaminate", "dedup")
"""Stages that reject before any check is asked."""

Pair = tuple[str, str]
"""A question and an answer."""


def results() -> list[dict[str, Any]]:
    """`rows` of a build in a home of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pe_ray-shuffled-") as folder:
        return rows(Home.at(Path(folder) / "home"), Path(folder))


def rows(home: Home, folder: Path) -> list[dict[str, Any]]:
    """Rejected of the shuffled and kept of the true pairs, with what the card says; the file goes to `folder`."""
    told = {"set": "CounselChat, held-out questions", "split": f"{SHARE:.0%} of the answers shuffled, by hash"}
    root = data_root()
    if root is None or not counselchat.FIRST.where(root).is_file():
        reason = f"PE_RAY_DATA holds no {counselchat.FIRST.path}"
        return [figures.row(name, None, told, 0, unit="share", reason=reason) for name in NAMES]
    held = [row for row in counselchat.rows(root) if counselchat.held_out(row.key)]
    found = judged([(row.question, row.answer) for row in held], home, folder)
    said = {f["name"]: f["value"] for f in load("pair").card["figures"]}
    return [_row(name, found[name], told, said[in_card]) for name, in_card in NAMES.items()]


def judged(pairs: Sequence[Pair], home: Home, folder: Path) -> dict[str, list[bool]]:
    """A build over shuffled pairs: of each wrong pair whether it was rejected, of each true one whether it was kept."""
    mixed, wrong = shuffled(pairs)
    path = folder / "shuffled.jsonl"
    lines = [json.dumps({"question": q, "answer": a, "topics": []}) for q, a in mixed]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = _config(path)
    snapshot = build(Config(corpus=config), home).path
    low = _low(snapshot, config.sources[0])
    return {
        "shuffled.rejected": [low[n] for n in range(len(mixed)) if n in low and wrong[n]],
        "shuffled.kept": [not low[n] for n in range(len(mixed)) if n in low and not wrong[n]],
    }


def shuffled(pairs: Sequence[Pair], share: float = SHARE) -> tuple[list[Pair], list[bool]]:
    """The pairs with a share of the answers moved on among themselves, and which of them are wrong now.

    An answer that comes to a question of the same words is not wrong.
    """
    order = sorted(range(len(pairs)), key=lambda n: digest("shuffle", str(n), *pairs[n]))
    moved = order[: round(share * len(pairs))]
    answers = [answer for _, answer in pairs]
    for n, other in zip(moved, moved[1:] + moved[:1], strict=True):
        answers[n] = pairs[other][1]
    true = set(pairs)
    mixed = [(question, answer) for (question, _), answer in zip(pairs, answers, strict=True)]
    return mixed, [pair not in true for pair in mixed]


def _config(path: Path) -> CorpusConfig:
    return CorpusConfig(
        name="shuffled",
        sources=(SourceSpec(kind="standard", path=str(path)),),
        targets={"standard": 1.0},
        min_records=0,
        engine="local",
    )


def _low(snapshot: Path, spec: SourceSpec) -> dict[int, bool]:
    """For each row of the file that came as far as the check, whether the check rejected it."""
    stages = {row["record_id"]: row["stage"] for row in pq.read_table(snapshot / "rejects.parquet").to_pylist()}
    waiting = set(pq.read_table(snapshot / "review.parquet", columns=["id"])["id"].to_pylist())
    read = [record for record in standard.read(spec) if isinstance(record, Record)]
    return {
        record.offset - 1: stages.get(record.id) == coherence.NAME
        for record in read
        if record.id not in waiting and stages.get(record.id) not in BEFORE
    }


def _row(name: str, hits: Sequence[bool], told: dict[str, str], in_card: float) -> dict[str, Any]:
    value, n = float(np.mean(hits)), len(hits)
    interval = figures.wilson(sum(hits), n)
    return figures.row(name, value, told, n, unit="share", interval=interval, reason=f"the card says {in_card:.3f}")
