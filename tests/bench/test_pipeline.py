"""Rates by stage on a few real dialogues, and the cost of Ray from builds whose figures are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.bench import pipeline
from pe_ray.bench.building import START
from pe_ray.bench.dialogues import write
from tests.bench.built import Shelf, built


def test_every_stage_has_its_time_and_the_rate_is_that_of_four(tmp_path: Path) -> None:
    write(tmp_path, 100)
    records, seconds = pipeline._seconds_by_stage(tmp_path)
    assert records >= 95
    assert {"read", *pipeline.CORE, "crisis", "language"} <= seconds.keys()
    rate = pipeline._rate([(records, seconds), (records, {k: 2 * v for k, v in seconds.items()})])
    assert rate.name == "pipeline.records_per_cpu_s"
    assert rate.value == pytest.approx(records / sum(seconds[s] for s in pipeline.CORE), rel=1e-4)
    assert rate.bound == 3000
    by_stage = {row.name: row.value for row in pipeline._by_stage([(records, seconds)])}
    assert by_stage["pipeline.stage_us.pii"] == pytest.approx(seconds["pii"] / records * 1e6, rel=1e-4)


def test_only_the_start_of_ray_is_taken_off(tmp_path: Path) -> None:
    found = {(START, "local"): 5.0, (START, "ray"): 45.0, (9000, "local"): 105.0, (9000, "ray"): 157.0}
    shop = Shelf(tmp_path, {key: built(cpu) for key, cpu in found.items()})
    rows = {row.name: row for row in pipeline._ray(9000, shop)}
    assert rows["pipeline.ray_overhead"].value == pytest.approx((157 - 40) / 105, rel=1e-4)
    assert rows["pipeline.ray_overhead"].ok
    assert rows["pipeline.ray_overhead.ray_start"].value == 40


def test_too_little_work_gives_no_figure(tmp_path: Path) -> None:
    found = {(START, "local"): 5.0, (START, "ray"): 45.0, (90, "local"): 64.0, (90, "ray"): 100.0}
    gated, *_ = pipeline._ray(90, Shelf(tmp_path, {key: built(cpu) for key, cpu in found.items()}))
    assert (gated.value, gated.ok) == (None, None)
    assert "59 CPU s of work" in str(gated.reason)


def test_a_whole_build_is_told_by_phase_above_its_start(tmp_path: Path) -> None:
    shop = Shelf(tmp_path, {(START, "local"): built(4.0), (1000, "local"): built(14.0)})
    rows = {row.name: row.value for row in pipeline._whole(1000, shop)}
    assert rows["pipeline.whole_records_per_cpu_s"] == 100
    assert rows["pipeline.phase_us.clean"] == 5000
