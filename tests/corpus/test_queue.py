"""How many records wait, since when, and what the metrics say of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pe_ray.corpus import queue
from pe_ray.corpus.pipeline import build
from pe_ray.errors import UserError
from pe_ray.monitor import metrics
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.reviewing import decide, held, reviewer, rows, source

pytestmark = pytest.mark.usefixtures("no_plots")


def aged(snapshot: Path, days: float) -> None:
    """Make a snapshot as if it had been made some days ago."""
    path = snapshot / manifest.NAME
    at = (queue.now() - timedelta(days=days)).isoformat(timespec="seconds")
    body = path.read_text().splitlines()
    path.write_text("\n".join(f' "created_at": "{at}"' if '"created_at"' in line else line for line in body))


def test_a_record_waits_since_the_first_snapshot_that_held_it(tmp_path: Path, home: Home) -> None:
    first = build(source(tmp_path), home)
    aged(first.path, 10)
    more = [*rows(), rows()[1] | {"client": "I want to die, and the lantern knows it. I am going to kill myself."}]
    second = build(source(tmp_path, more), home)
    assert len(held(second)) == 3
    assert second.stage["review"] | {"approved": 0, "rejected": 0} == second.stage["review"]
    assert (second.stage["review"]["oldest_days"], second.stage["review"]["median_days"]) == (10.0, 10.0)
    found = queue.items(home, "therapy")
    assert [round(i.age_s(queue.now()) / queue.DAY_S) for i in found] == [10, 10, 0]
    assert all(i.current and i.snapshot == second.path for i in found)
    size = queue.measured(home)["therapy"]
    assert (size.waiting, round(size.oldest_s / queue.DAY_S)) == (3, 10)
    third = build(source(tmp_path, rows()[2:]), home)
    assert held(third) == {} and third.stage["review"]["oldest_days"] is None
    assert not any(i.current for i in queue.items(home))
    assert queue.measured(home)["therapy"] == queue.Queue()
    build(source(tmp_path), home)  # found, not written: it is the newest all the same
    assert queue.measured(home)["therapy"].waiting == 2


def test_the_gauges_follow_the_queue_and_a_scrape_never_fails(tmp_path: Path, home: Home) -> None:
    result = build(source(tmp_path, name="gauged"), home)
    refresh = queue.watch(home, every_s=0)

    def told() -> dict[str, float]:
        refresh()
        return {
            f"{sample.name} {sample.labels.get('of', '')}".strip(): sample.value
            for family in metrics.REGISTRY.collect()
            for sample in family.samples
            if sample.name.startswith("pe_review_") and sample.labels["corpus"] == "gauged"
        }

    assert told()["pe_review_waiting_records"] == 2
    aged(result.path, 2)
    assert told()["pe_review_waiting_seconds oldest"] == pytest.approx(2 * queue.DAY_S, abs=60)
    decide(home, reviewer(home), next(iter(held(result))), "reject")
    assert told()["pe_review_waiting_records"] == 1
    assert not any(id in metrics.exposition().decode() for id in held(result))
    lazy = queue.watch(home)
    lazy()
    (result.path / "settings.json").unlink()
    lazy()
    assert b'pe_review_waiting_records{corpus="gauged"} 1.0' in metrics.exposition()  # not read again within a minute
    assert told() == {}  # a damaged snapshot is none


def test_a_record_is_found_by_the_beginning_of_its_id(tmp_path: Path, home: Home) -> None:
    first, second = held(build(source(tmp_path), home))
    assert queue.find(home, first[:6]).matter.record_id == first
    build(source(tmp_path, name="other"), home)
    with pytest.raises(UserError, match="is held in several corpora; give --corpus, one of other, therapy"):
        queue.find(home, first)
    assert queue.find(home, second, "other").matter.corpus == "other"
    for ref in ("abcdef", first[:5], ""):
        with pytest.raises(UserError, match="is not held"):
            queue.find(home, ref, "other")
