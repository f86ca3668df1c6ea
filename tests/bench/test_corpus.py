"""The corpus area on a small sample: every figure is there, and quality needs no large one."""

from __future__ import annotations

import argparse
import json

import pytest

from pe_ray.bench import corpus
from pe_ray.bench.__main__ import main
from pe_ray.bench.corpus import GATES, Outcome
from pe_ray.bench.texts import Planted


def test_a_small_run_prints_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["corpus", "--json", "--documents", "1500", "--rounds", "1"])
    out = capsys.readouterr()
    body = json.loads(out.out)
    found = {row["name"]: row for row in body["results"]}
    assert {f"near_dedup.{name}" for name in GATES} < set(found)
    for name, (better, bound) in GATES.items():
        row = found[f"near_dedup.{name}"]
        assert (row["better"], row["bound"]) == (better, bound)
        assert row["value"] is not None
    assert found["near_dedup.recall_j80"]["value"] >= 0.99
    assert found["near_dedup.false_removals"]["value"] == 0
    assert found["near_dedup.rensa.false_removals"]["value"] > 0.05
    assert code == (3 if any(row["ok"] is False for row in body["results"]) else 0)
    assert "round 1: datasketch" in out.err


def test_a_peer_that_is_absent_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "find_spec", lambda name: None)
    rows = {row.name: row for row in corpus.run(argparse.Namespace(documents=300, rounds=1))}
    absent = rows["near_dedup.vs_datasketch"]
    assert (absent.value, absent.ok, absent.reason) == (None, None, "datasketch is not installed")
    assert rows["near_dedup.recall_j80"].ok


def test_grades_are_by_exact_jaccard() -> None:
    texts = ["a b c d e f g h", "a b c d e f g h", "a b c d e f g x", "one two three four"]
    planted = Planted(texts, pairs=[(1, 0), (2, 0)])
    kind = corpus._grade(planted, Outcome(label=[0, 0, 0, 3], survivor=[0, 0, 0, 3]))
    assert kind == {"recall_j80": 1.0, "false_removals": 0.0, "removed": 2, "largest_cluster": 3}
    harsh = corpus._grade(planted, Outcome(label=[0, 1, 0, 0], survivor=[0, 1, 0, 0]))
    assert harsh["recall_j80"] == 0.0
    assert harsh["false_removals"] == 0.5


def test_union_find_keeps_the_smallest_row() -> None:
    assert corpus._union([[0], [1], [2, 1], [3, 0], [4, 2]]).label == [0, 1, 1, 0, 1]
