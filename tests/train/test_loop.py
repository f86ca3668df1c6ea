"""What the loop promises: it learns, stops for the right reason, skips what is not finite, and is one on many ranks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pe_ray.train.checkpoint import Checkpoints
from pe_ray.train.loop import Hook, fit
from pe_ray.train.objective import NextToken
from pe_ray.train.packing import TrainBatches
from pe_ray.train.steplog import StepLog, read
from pe_ray.train.window import Window
from tests.train.toy import PROFILE, SHAPE, Clock, Threads, toy_examples, toy_fit, toy_model, toy_settings


def test_it_learns_and_stops_by_steps() -> None:
    lines: list[dict] = []
    result = toy_fit(settings=toy_settings(steps=30), on_step=lines.append)
    state = result.state
    assert result.stop_reason == "steps" and state.step == 30 == len(lines)
    assert sum(state.last_losses) < sum(state.first_losses) and state.eval_loss < state.eval_loss_start
    assert [line["step"] for line in lines if "eval_loss" in line] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert state.first_losses == [line["loss"] for line in lines[:5]]
    assert state.last_losses == [line["loss"] for line in lines[-5:]]
    assert result.tokens_per_s > 0 and state.tokens == sum(line["tokens"] for line in lines)


def test_the_loss_of_a_step_is_the_mean_over_its_learnt_tokens() -> None:
    """Against the obvious computation: every document by itself, no packing, no micro-batches."""
    examples, model, lines = toy_examples(), toy_model(), []
    stream = TrainBatches(examples, SHAPE, 7, pad_id=0).start(0)
    rows = next(stream)
    total = torch.zeros(())
    count = 0
    for batch in rows:
        for row in range(len(batch.input_ids_BT)):
            for document in batch.document_BT[row].unique().tolist():
                if document < 0:
                    continue
                at = batch.document_BT[row] == document
                logits = model(input_ids=batch.input_ids_BT[row][at][None]).logits[0]
                label = batch.labels_BT[row][at]
                total = total + torch.nn.functional.cross_entropy(logits, label, reduction="sum", ignore_index=-100)
                count += int((label != -100).sum())
    toy_fit(model, settings=toy_settings(steps=1), on_step=lines.append)
    assert lines[0]["loss"] == pytest.approx(total.item() / count, rel=1e-5)


def test_two_ranks_compute_what_one_does() -> None:
    def work(collective):
        model, lines = toy_model(), []
        result = toy_fit(model, collective=collective, on_step=lines.append)
        return [line["loss"] for line in lines], result.state, {n: p.detach() for n, p in model.named_parameters()}

    alone_losses, alone, alone_weights = work(None)
    (losses, state, weights), (other_losses, other, other_weights) = Threads(2).run(work)
    assert losses == pytest.approx(alone_losses, rel=1e-5) and not other_losses
    assert state.eval_loss == pytest.approx(alone.eval_loss, rel=1e-5) and state.tokens == alone.tokens
    for name, value in weights.items():
        assert torch.equal(value, other_weights[name])
        assert torch.allclose(value, alone_weights[name], atol=1e-5)
    assert (state.step, state.eval_loss, state.last_losses) == (other.step, other.eval_loss, other.last_losses)


class Poisoned(TrainBatches):
    """A batch of the last rank has an infinite weight in some steps."""

    bad_steps = frozenset({3, 4})

    def start(self, step):
        for index, batches in enumerate(super().start(step), start=step):
            if index in self.bad_steps and self.rank == self.size - 1:
                batches[-1] = replace(batches[-1], weight=math.inf)
            yield batches


def test_a_step_that_is_not_finite_is_skipped_counted_and_logged() -> None:
    lines: list[dict] = []
    result = toy_fit(batches=Poisoned(toy_examples(), SHAPE, 7, pad_id=0), on_step=lines.append)
    skipped = [line["step"] for line in lines if line.get("skipped")]
    assert skipped == [4, 5] and all(line["loss"] is None for line in lines if line.get("skipped"))
    assert result.stop_reason == "steps" and result.state.skipped_steps == 2 and result.state.bad_in_row == 0


def test_all_ranks_skip_what_one_of_them_could_not_compute() -> None:
    def work(collective):
        model = toy_model()
        rank = {"rank": collective.rank, "size": collective.size}
        batches = Poisoned(toy_examples(), SHAPE, 7, pad_id=0, **rank)
        result = toy_fit(model, collective=collective, batches=batches)
        return result.state, [p.detach() for p in model.parameters()]

    (first, a), (second, b) = Threads(2).run(work)
    assert first.skipped_steps == second.skipped_steps == 2
    assert all(torch.equal(x, y) and x.isfinite().all() for x, y in zip(a, b, strict=True))


def test_too_many_in_a_row_end_the_run_with_a_finite_checkpoint(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={})
    batches = Poisoned(toy_examples(), SHAPE, 7, pad_id=0)
    batches.bad_steps = frozenset(range(4, 40))
    result = toy_fit(batches=batches, checkpoints=points, settings=toy_settings(steps=40, max_bad_steps=3))
    assert result.stop_reason == "nan" and result.state.step == 7 and result.state.skipped_steps == 3
    last = points.latest()
    assert last.step == 7 and all(t.isfinite().all() for t in last.weights().values())


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    class Explode(Hook):
        def before_update(self, model):
            model.lm_head.weight.grad[0, 0] = math.nan

    model, untouched = toy_model(), toy_model()
    result = toy_fit(model, hooks=[Explode()], settings=toy_settings(max_bad_steps=2))
    assert result.stop_reason == "nan" and result.state.skipped_steps == 2
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), untouched.parameters(), strict=True))


def test_a_held_out_loss_that_stops_falling_ends_the_run() -> None:
    settings = toy_settings(steps=400, eval_every_steps=2, patience=3)
    held_out = [next(TrainBatches(toy_examples(4, seed=3), SHAPE, 1, pad_id=0).start(0))[0]]
    shuffled = held_out[0].labels_BT
    shuffled[shuffled != -100] = (shuffled[shuffled != -100] * 31 + 17) % 64  # what training teaches makes it worse
    result = toy_fit(settings=settings, evaluation=held_out)
    assert result.stop_reason == "early_stop" and result.state.evals_without_gain == 3
    assert result.state.step == result.state.best_step + 3 * 2 < 400


def test_a_stop_that_is_asked_for_keeps_the_finished_step(tmp_path) -> None:
    points, lines = Checkpoints(tmp_path, parents={}), []
    result = toy_fit(checkpoints=points, on_step=lines.append, stop_asked=lambda: len(lines) >= 3)
    assert result.stop_reason == "signal" and points.latest().step == result.state.step == 4
    again = toy_fit(checkpoints=points)
    assert again.stop_reason == "steps" and again.state.step == 10


def test_checkpoints_come_by_steps_and_by_seconds(tmp_path) -> None:
    toy_fit(checkpoints=Checkpoints(tmp_path / "a", parents={}, keep=99), evaluation=[],
            settings=toy_settings(checkpoint_every_steps=4))  # fmt: skip
    saved = sorted(p.name for p in (tmp_path / "a").glob("*"))
    assert saved == ["step_000004", "step_000008", "step_000010"]
    clock = Clock()
    toy_fit(checkpoints=Checkpoints(tmp_path / "b", parents={}, keep=99), evaluation=[], clock=clock,
            settings=toy_settings(checkpoint_every_s=300), on_step=lambda line: clock.jump(70))  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "b").glob("*")) == ["step_000005", "step_000010"]


def test_hooks_add_terms_and_see_gradients_before_the_update() -> None:
    class Freeze(Hook):
        """Holds the embedding still, and pulls the rest towards zero."""

        def terms(self, model, batch):
            return {"decay": 0.1 * sum(p.square().sum() for p in model.parameters())}

        def before_update(self, model):
            model.model.embed_tokens.weight.grad.zero_()

    model, lines = toy_model(), []
    before = model.model.embed_tokens.weight.detach().clone()
    settings = toy_settings(weight_decay=0.0)
    toy_fit(model, hooks=[Freeze()], settings=settings, on_step=lines.append)
    assert torch.equal(model.model.embed_tokens.weight, before)
    assert all(set(line["terms"]) == {"lm", "decay"} for line in lines)
    assert lines[0]["loss"] == pytest.approx(sum(lines[0]["terms"].values()))


def test_gradients_above_the_norm_are_scaled_down() -> None:
    class Watch(Hook):
        def before_update(self, model):
            for p in model.parameters():
                p.grad.mul_(1e6)

    model = toy_model()
    weight = model.lm_head.weight
    before = weight.detach().clone()
    toy_fit(model, hooks=[Watch()], settings=toy_settings(steps=1, clip_norm=1e-3))
    assert math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters())) == pytest.approx(1e-3, rel=1e-3)
    assert not torch.equal(weight, before)


def test_without_held_out_data_no_evaluation_is_reported() -> None:
    result = toy_fit(evaluation=[], settings=toy_settings(patience=1, eval_every_steps=1))
    assert result.stop_reason == "steps" and result.state.eval_loss is None


def test_recompute_changes_no_arithmetic() -> None:
    def losses(recompute: bool) -> list[float]:
        lines: list[dict] = []
        batches = TrainBatches(toy_examples(), SHAPE, 7, pad_id=0)
        profile = replace(PROFILE, recompute=recompute)
        fit(toy_model(0.1), batches, NextToken(), profile=profile, window=Window(100.0), settings=toy_settings(),
            on_step=lines.append)  # fmt: skip
        return [line["loss"] for line in lines]

    assert losses(True) == losses(False)


def test_the_log_of_the_loop_reads_back(tmp_path) -> None:
    lines: list[dict] = []
    with StepLog(tmp_path / "steps.jsonl") as log:
        toy_fit(log=log, on_step=lines.append)
    assert read(tmp_path / "steps.jsonl") == lines
