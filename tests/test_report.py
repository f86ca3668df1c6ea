"""A run's page is written from what the summary says, and a skipped step does not break its plot."""

from __future__ import annotations

import json

from pe_ray import report
from pe_ray.config import load
from pe_ray.run import Run

TRAIN = {
    "steps": 2,
    "tokens": 10,
    "tokens_per_s": 1.0,
    "startup_s": 0.1,
    "stop_reason": "steps",
    "elapsed_s": 1.0,
    "first_loss": 2.0,
    "last_loss": 1.0,
    "eval_loss_start": 2.0,
    "eval_loss": 1.5,
    "perplexity": 4.5,
    "expert_share": {"psychology": 1.0},
    "trainable_share": 0.1,
    "checkpoint": "x",
}


def test_the_page_has_the_stages_that_ran(home) -> None:
    with Run("train", load(None, ['run_id="r1"']), home) as run:
        run.stages["train"] = TRAIN
        lines = [
            {"step": 1, "terms": {"lm": 2.0}, "lr": 0.1, "elapsed_s": 1.0},
            {"step": 2, "terms": {}, "lr": 0.1, "elapsed_s": 2.0, "skipped": True},
            {"step": 3, "terms": {"lm": 1.0}, "lr": 0.1, "elapsed_s": 3.0},
        ]
        (run.directory / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        page = report.write(run)
        summary = json.loads(run.finish(page).read_text())
    html = page.read_text()
    assert "<h2>Training</h2>" in html
    assert "<h2>Corpus</h2>" not in html
    assert "data:image/svg+xml" in html
    assert summary["report"] == str(page)
    assert list(summary["stages"]) == ["train"]


def test_the_page_of_a_search_tells_its_trials_and_why_one_was_chosen(home) -> None:
    profile = {
        "profile": "fast",
        "tokens_per_s": 10.0,
        "peak_memory_gib": 1.0,
        "predicted_finish_s": 5.0,
        "fits": True,
        "reason": "",
    }
    trial = {"rank": 8, "learning_rate": 1.234e-4, "balance_coef": 0.05, "steps": 16, "eval_loss": 2.5}
    with Run("tune", load(None, ['run_id="r2"']), home) as run:
        run.stages["tune"] = {
            "trials": [profile],
            "why": "it fits",
            "search": {"trials": [trial, trial | {"rank": 32, "steps": 4}], "why": "rank 8 had the lowest loss"},
        }
        html = report.write(run).read_text()
    assert "<h2>Search</h2>" in html
    assert "rank 8 had the lowest loss" in html
    assert html.count("0.000123") == 2


def test_a_run_of_another_configuration_leaves_the_first_ones_files(home) -> None:
    import pytest

    from pe_ray.errors import RunConflict

    with Run("train", load(None, ['run_id="r1"']), home):
        pass
    before = (home.run("r1") / "config.yaml").read_bytes()
    with pytest.raises(RunConflict), Run("train", load(None, ['run_id="r1"', "train.seed=9"]), home):
        pass
    assert (home.run("r1") / "config.yaml").read_bytes() == before
