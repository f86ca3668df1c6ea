"""The training bench: its parts, and an estimate held against runs (short ones here, which prove no accuracy)."""

from __future__ import annotations

import argparse

import pytest

from pe_ray.bench import foretold, train


def test_parts_can_be_chosen_and_others_are_refused(capsys) -> None:
    parser = argparse.ArgumentParser()
    train.arguments(parser)
    assert parser.parse_args(["--only", "packing,experts"]).only == ("experts", "packing")
    with pytest.raises(SystemExit):
        parser.parse_args(["--only", "speed"])
    assert "'speed' is no part; some of experts" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_are_held_against_their_estimates(monkeypatch) -> None:
    monkeypatch.setattr(foretold, "RUN_S", 10.0)
    monkeypatch.setattr(foretold, "CALIBRATE_S", 1.0)
    monkeypatch.setattr(foretold, "SETTINGS", (*foretold.SETTINGS, "base.tiny.steps=2", "base.tiny.width=32"))
    found = {r.name: r.value for r in foretold.run(1)}
    assert found["estimate.elapsed_off"] >= 1 and found["estimate.tokens_off"] >= 1
    assert found["estimate.shortest_run_s"] > 0.5
