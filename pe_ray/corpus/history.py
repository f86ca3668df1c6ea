"""The snapshots of a corpus side by side: what each was like, and what moved from one to the next.

quality.json    in every snapshot: the spread of each check's scores, the share of each label, means by category
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pe_ray.corpus import drift, queue
from pe_ray.errors import ManifestError
from pe_ray.store import manifest
from pe_ray.store.paths import Home

NAME = "quality.json"


@dataclass(frozen=True)
class Snapshot:
    """A finished snapshot's figures; `quality` is None for one of a version that wrote none."""

    fingerprint: str
    made_at: str
    stage: Mapping[str, Any]
    quality: Mapping[str, Any] | None


def history(home: Home, name: str) -> list[Snapshot]:
    """The snapshots of a corpus, the one that was built last at the end."""
    found = []
    for folder, at in queue.snapshots(home, name).items():
        try:
            facts = manifest.read(folder, "corpus").facts
        except ManifestError:
            continue
        found.append(Snapshot(folder.name, at, facts, read(folder)))
    return found


def read(folder: Path) -> dict[str, Any] | None:
    """A snapshot's figures; None if it has none."""
    path = folder / NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def between(snapshots: Sequence[Snapshot]) -> list[drift.Drift | None]:
    """Of each snapshot, its drift against the one before it."""
    found: list[drift.Drift | None] = [None] * min(1, len(snapshots))
    for before, now in pairwise(snapshots):
        known = now.quality and before.quality
        found.append(drift.compare(now.quality, before.quality, before.fingerprint, before.made_at) if known else None)
    return found


def as_dicts(snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
    """For `--json`: each snapshot's account, figures, and drift against the one before it."""
    return [
        {
            "fingerprint": s.fingerprint,
            "made_at": s.made_at,
            **{n: s.stage[n] for n in ("records_in", "kept", "rejected", "held_for_review", "errors")},
            "quality": s.quality,
            "drift": d and {"against": d.fingerprint, "words": d.words, "shifts": [x.told() for x in d.shifts]},
        }
        for s, d in zip(snapshots, between(snapshots), strict=True)
    ]


def words(snapshots: Sequence[Snapshot], last: int) -> list[str]:
    """What moved, in a line for each of the last snapshots that could be compared."""
    told = list(zip(snapshots, between(snapshots), strict=True))[-last:]
    return [f"{s.fingerprint[:12]} against {d.fingerprint[:12]}: {d.words}" for s, d in told if d]


def table(snapshots: Sequence[Snapshot], last: int) -> list[list[str]]:
    """A row for each figure and a column for each of the last snapshots, names in front; for a terminal."""
    drifts = between(snapshots)[-last:]
    snapshots = snapshots[-last:]
    checks = dict.fromkeys(c for s in snapshots if s.quality for c in s.quality["scores"])
    rows = [["snapshot", *(s.fingerprint[:12] for s in snapshots)], ["made", *(s.made_at[:16] for s in snapshots)]]
    rows += [[n.replace("_", " "), *(str(s.stage[n]) for s in snapshots)] for n in ("records_in", "kept", "rejected")]
    rows.append(["held for review", *(str(s.stage["held_for_review"]) for s in snapshots)])
    rows += [[f"{check}, mean kept", *(_cell(s, check) for s in snapshots)] for check in checks]
    return [*rows, ["figures that moved", *("–" if d is None else str(len(d.shifted)) for d in drifts)]]


def _cell(snapshot: Snapshot, check: str) -> str:
    mean = ((snapshot.quality or {}).get("scores", {}).get(check) or {}).get("mean_kept")
    return "–" if mean is None else f"{mean:.3f}"
