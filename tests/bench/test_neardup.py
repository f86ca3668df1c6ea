"""Near-duplicates beside the peers, on a small sample: every figure is there, and quality needs no large one."""

from __future__ import annotations

import argparse

import pytest

from pe_ray.bench import neardup
from pe_ray.bench.neardup import GATES, Outcome
from pe_ray.bench.texts import Planted


def test_a_small_run_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    found = {row.name: row for row in neardup.run(argparse.Namespace(documents=1500, rounds=1))}
    for name, (better, bound) in GATES.items():
        row = found[f"near_dedup.{name}"]
        assert (row.better, row.bound) == (better, bound)
        assert row.value is not None
    assert found["near_dedup.recall_j80"].value >= 0.99
    assert found["near_dedup.false_removals"].value == 0
    assert found["near_dedup.rensa.false_removals"].value > 0.05
    assert "round 1: datasketch" in capsys.readouterr().err


def test_a_peer_that_is_absent_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neardup, "find_spec", lambda name: None)
    rows = {row.name: row for row in neardup.run(argparse.Namespace(documents=300, rounds=1))}
    absent = rows["near_dedup.vs_datasketch"]
    assert (absent.value, absent.ok, absent.reason) == (None, None, "datasketch is not installed")
    assert rows["near_dedup.recall_j80"].ok


def test_grades_are_by_exact_jaccard() -> None:
    texts = ["a b c d e f g h", "a b c d e f g h", "a b c d e f g x", "one two three four"]
    planted = Planted(texts, pairs=[(1, 0), (2, 0)])
    kind = neardup._grade(planted, Outcome(label=[0, 0, 0, 3], survivor=[0, 0, 0, 3]))
    assert kind == {"recall_j80": 1.0, "false_removals": 0.0, "removed": 2, "largest_cluster": 3}
    harsh = neardup._grade(planted, Outcome(label=[0, 1, 0, 0], survivor=[0, 1, 0, 0]))
    assert harsh["recall_j80"] == 0.0
    assert harsh["false_removals"] == 0.5


def test_union_find_keeps_the_smallest_row() -> None:
    assert neardup._union([[0], [1], [2, 1], [3, 0], [4, 2]]).label == [0, 1, 1, 0, 1]
