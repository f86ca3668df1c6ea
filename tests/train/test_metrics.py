"""What evaluations and steps tell beside the loss, and where Prometheus finds it."""

from __future__ import annotations

import math

import pytest
import torch

from pe_ray.model.inject import inject
from pe_ray.monitor import metrics as shelf
from pe_ray.train.checkpoint import Checkpoints
from pe_ray.train.metrics import NAME, Mirror
from pe_ray.train.objective import judge, language_modelling
from pe_ray.train.packing import evaluation_batches
from pe_ray.train.state import State
from tests.model import bases
from tests.train.conftest import make_config
from tests.train.toy import SHAPE, Clock, Threads, toy_examples, toy_fit, toy_model, toy_settings


def test_what_is_judged_adds_up_to_the_loss_and_to_its_domains() -> None:
    model = inject(bases.dense_model(), bases.experts_config(), seed=1).eval()
    (batch, *_) = evaluation_batches(toy_examples(8, seed=2), SHAPE, pad_id=0, max_tokens=10_000)
    found = judge(model, batch, 4)
    facts = found.facts()
    assert facts["loss"] == pytest.approx(language_modelling(model, batch).item(), rel=1e-5)
    assert facts["perplexity"] == pytest.approx(math.exp(facts["loss"]))
    assert 0 <= facts["accuracy"] <= 1
    counts = found.sums[7:]
    assert counts.sum() == found.sums[2]
    weighted = sum(c.item() * m for c, m in zip(counts, facts["by_domain"], strict=True) if m is not None)
    assert weighted / found.sums[2].item() == pytest.approx(facts["loss"], rel=1e-5)


def test_the_slope_is_that_of_the_smoothed_loss() -> None:
    state = State()
    for i in range(400):
        state.note(5.0 - 0.01 * i, [])
    assert state.slope == pytest.approx(-0.01, rel=1e-3) and len(state.smooth) == 50
    assert State().slope is None


def test_figures_reach_the_gauges_the_file_and_whoever_is_told(tmp_path) -> None:
    sent: dict = {}
    clock = Clock()
    mirror = Mirror(tmp_path, make_config(), lambda n, v, labels: sent.update({(n, *labels.values()): v}), clock)
    line = {"step": 1, "loss": 3.0, "terms": {"lm": 2.5}, "lr": 1e-3, "tokens": 200, "elapsed_s": 1.0,
            "horizon_steps": 9, "expert_share": [0.1, 0.2, 0.3, 0.4]}  # fmt: skip
    mirror(line)
    clock.jump(10.0)
    mirror(line | {"step": 2, "elapsed_s": 3.0, "eval_loss": 2.4, "slope": -0.01})
    mirror({"step": 3, "loss": None, "terms": {}, "lr": 1e-3, "tokens": 9, "elapsed_s": 4.0, "horizon_steps": 9})
    assert sent[("pe_train_loss",)] == 2.5 and sent[("pe_train_tokens_per_second",)] == 9.0
    assert sent[("pe_train_expert_share", "bias_detection")] == 0.3
    assert sent[("pe_train_memory_bytes",)] > 0 and sent[("pe_train_storage_free_bytes",)] > 0
    text = (tmp_path / NAME).read_text()
    assert f'pe_train_held_out_loss{{run="{tmp_path.name}"}} 2.4' in text
    assert b"pe_train_step 3.0" in shelf.exposition()


def test_a_machine_that_is_taken_away_gets_a_checkpoint_once(tmp_path) -> None:
    def work(collective):
        clock, points, asked, saved = Clock(), Checkpoints(tmp_path, parents={}, keep=99), [], []

        def on_step(line) -> None:
            clock.jump(6.0)  # every second step is asked
            points.wait()
            saved.append(sorted(p.name for p in tmp_path.glob("step_*")))

        def preempted() -> bool:
            asked.append(1)
            return len(asked) >= 2

        toy_fit(toy_model(), collective=collective, clock=clock, checkpoints=points, evaluation=[], on_step=on_step,
                settings=toy_settings(steps=9, checkpoint_every_s=1e9), preempted=preempted)  # fmt: skip
        return len(asked)

    first, second = Threads(2).run(work)
    assert first == second >= 3
    names = sorted(p.name for p in tmp_path.glob("step_*"))
    assert len(names) == 2 and names[-1] == "step_000009" and 2 <= int(names[0][-1]) <= 6


def test_an_evaluation_is_in_the_log(tmp_path) -> None:
    from pe_ray.train.objective import Experts

    lines: list[dict] = []
    torch.manual_seed(0)
    config = bases.experts_config()
    model = inject(bases.dense_model(), config, seed=1)
    toy_fit(model, objective=Experts(config), on_step=lines.append, settings=toy_settings(steps=4))
    found = lines[-1]["eval"]
    assert found["perplexity"] == pytest.approx(math.exp(lines[-1]["eval_loss"]))
    assert len(found["by_domain"]) == 4 and sum(found["expert_share"]) == pytest.approx(1.0)
