"""Growth and fingerprints, from builds whose figures are known."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pe_ray.bench import scale
from pe_ray.bench.building import START
from tests.bench.built import Shelf, built

ARGS = argparse.Namespace(records=1000, cut_records=200)


def _shelf(folder: Path, odd: str = "a") -> Shelf:
    found = {(200, "local", cuts): built(1.0, fingerprint=odd if cuts == 16 else "a") for cuts in scale.CUTS}
    for engine, start in (("local", 5.0), ("ray", 40.0)):
        found |= {
            (START, engine): built(start),
            (100, engine): built(start + 10, memory=2.0, fingerprint="small"),
            (1000, engine): built(start + 105, memory=2.5, fingerprint="large"),
        }
    return Shelf(folder, found)


def test_growth_is_above_the_start_and_only_ray_has_a_bound(tmp_path: Path) -> None:
    rows = {row.name: row for row in scale.run(ARGS, _shelf(tmp_path))}
    assert rows["scale.cpu_growth_10x"].value == pytest.approx(10.5)
    assert rows["scale.memory_growth_10x"].value == pytest.approx(1.25)
    assert (rows["scale.cpu_growth_10x"].bound, rows["scale.memory_growth_10x"].bound) == (11, 1.3)
    assert rows["scale.local.memory_growth_10x"].bound is None
    assert rows["scale.corpus_mb"].value == pytest.approx(0.001)


def test_one_fingerprint_is_wanted_and_another_is_counted(tmp_path: Path) -> None:
    same = {row.name: row for row in scale.run(ARGS, _shelf(tmp_path))}["scale.fingerprints"]
    other = {row.name: row for row in scale.run(ARGS, _shelf(tmp_path, odd="b"))}["scale.fingerprints"]
    assert (same.value, same.ok) == (1, True)
    assert (other.value, other.ok) == (2, False)


def test_engines_that_disagree_are_counted(tmp_path: Path) -> None:
    shelf = _shelf(tmp_path)
    shelf.found[(1000, "ray")] = built(145.0, memory=2.5, fingerprint="another")
    row = next(row for row in scale.run(ARGS, shelf) if row.name == "scale.fingerprints")
    assert (row.value, row.ok) == (2, False)
