"""What training must hold, thirteen properties by number; what each mutation breaks is in test_mutations.py.

The checks live beside what they check and are called from here, so that the list can be read and run as one:
`pytest tests/test_correctness.py`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

from pe_ray.model.export import Probe, compare, to_moe
from pe_ray.train import steplog
from pe_ray.train.checkpoint import Checkpoints, finished
from pe_ray.train.packing import TrainBatches
from pe_ray.train.run import train
from pe_ray.train.window import Window
from tests.model import test_experts, test_gradients, test_inject, test_lora, test_router
from tests.train import test_checkpoint, test_loop, test_objective, test_packing, test_resume, test_shard, test_window
from tests.train.conftest import KILLED, make_config, world  # noqa: F401 (a fixture)
from tests.train.toy import SHAPE, Clock, toy_examples, toy_fit, toy_model, toy_settings
from tests.train.trained import MAKERS, Trained, trained

ROOT = Path(__file__).parents[1]
GPU_ONLY = {"deepgemm", "sonicmoe"}
BACK_ENDS = ("eager", *(n for n in ALL_EXPERTS_FUNCTIONS.valid_keys() if n not in GPU_ONLY))


def parity(found: Trained, out: Path, back_end: str = "eager") -> Probe:
    """Export to `out` unless it is there, read it back by plain transformers, and compare on the text."""
    if not out.exists():
        to_moe(found.model, found.tokenizer, out)
    merged = AutoModelForCausalLM.from_pretrained(out, experts_implementation=back_end)
    return compare(found.model, merged, found.text_BT, new_tokens=24)


@pytest.mark.parametrize("name", MAKERS)
def test_01_export_of_trained_experts_is_exact_in_every_back_end(name: str, tmp_path) -> None:
    found = trained(name)
    assert sum(found.losses[-5:]) < sum(found.losses[:5]) - 5, "the experts must have learnt, or nothing is shown"
    assert {"eager", "batched_mm", "grouped_mm"} <= set(BACK_ENDS)
    for back_end in BACK_ENDS:
        got = parity(found, tmp_path / "merged", back_end)
        print(f"{name:13s} {back_end:11s} {got.max_logit_diff:.2e}, near ties {got.near_ties}")
        assert got.max_logit_diff <= 5e-6, back_end
        assert got.greedy_equal, back_end
        assert got.near_ties < 0.05 * found.text_BT.numel()


@pytest.mark.parametrize("kind", test_inject.CONFIGS)
def test_02_at_first_the_model_is_the_dense_base(kind: str) -> None:
    test_inject.test_at_first_the_model_is_the_base(kind)


def test_03_one_expert_trains_as_peft_does() -> None:
    test_lora.test_one_expert_trains_as_peft_does()


@pytest.mark.parametrize("form", test_experts.FORMS)
def test_04_all_forms_agree_forward_and_backward(form: str) -> None:
    test_experts.test_forms_agree_with_merged_matrices(form, 4, 2)
    if form in test_gradients.FAST:
        assert test_gradients.worst(form, 4, 2, 0.3, torch.float32)[0] <= 1e-5
    if form in ("lean", "sets"):  # the two that have a backward pass of their own
        test_experts.test_gradcheck_of_the_node(form, dropout=True)


def test_05_a_run_killed_with_sigkill_goes_on_bit_for_bit(world) -> None:  # noqa: F811
    home, _, base, examples = world
    whole = train(make_config(**KILLED), examples, base, home, "whole")
    command = [sys.executable, "-m", "tests.train.killed", home.root, examples, base, "killed", "8"]
    process = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, timeout=240)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
    run_dir = home.run("killed")
    assert json.loads((run_dir / "pids.json").read_text())["driver"] > 0
    assert [c.step for c in finished(run_dir / "checkpoints")][-1] == 6

    seen: list[dict] = []
    resumed = train(make_config(**KILLED), examples, base, home, "killed", on_step=seen.append)
    assert [line["step"] for line in seen] == [7, 8, 9, 10]
    log = (run_dir / "steps.jsonl").read_text().splitlines()
    assert [json.loads(raw)["step"] for raw in log] == [*range(1, 9), *range(7, 11)]
    a, b = (_exact(steplog.read(home.run(i) / "steps.jsonl")) for i in ("whole", "killed"))
    assert a == b and len(a) == 10
    assert resumed.stage["eval_loss"] == whole.stage["eval_loss"]
    assert resumed.stage["first_loss"] == whole.stage["first_loss"] and resumed.stage["tokens"] == whole.stage["tokens"]
    for name, tensor in _weights(whole.checkpoint).items():
        assert torch.equal(tensor, _weights(resumed.checkpoint)[name])
    assert resumed.stage["elapsed_s"] >= max(json.loads(raw)["elapsed_s"] for raw in log)
    assert not (run_dir / "pids.json").exists()


def test_05_stops_by_signal_and_by_the_clock_cost_no_bit(tmp_path) -> None:
    test_resume.test_dropout_and_optimizer_go_on_as_they_were(tmp_path / "signal")
    assert _losses(tmp_path / "whole") == _losses(tmp_path / "parts", window_s=35.0)


def test_06_the_balance_term_is_that_of_transformers(tmp_path) -> None:
    test_router.test_balance_equals_transformers()
    test_router.test_balance_equals_the_merged_models_own(tmp_path)
    test_router.test_uniform_router_has_balance_top_k()
    test_objective.test_experts_have_four_terms_that_reach_the_router()
    test_objective.test_padding_counts_in_no_router_term()


def test_07_a_batch_that_is_not_finite_is_skipped_by_all_ranks(tmp_path) -> None:
    test_loop.test_all_ranks_skip_what_one_of_them_could_not_compute()
    test_loop.test_too_many_in_a_row_end_the_run_with_a_finite_checkpoint(tmp_path)


def test_08_the_window_leaves_a_checkpoint_in_time_and_counts_over_restarts(tmp_path) -> None:
    clock, points, seen = Clock(), Checkpoints(tmp_path / "checkpoints", parents={}), []
    result = toy_fit(window=Window(100.0, 10.0, clock), clock=clock, checkpoints=points, evaluation=[],
                     settings=toy_settings(steps=10**6),
                     on_step=lambda line: (seen.append(line["elapsed_s"]), clock.jump(7.0)))  # fmt: skip
    assert result.stop_reason == "window" and 90.0 <= seen[-1] < 97.0
    model = toy_model()
    model.load_state_dict(points.latest().weights(), strict=False)
    assert points.latest().step == result.state.step and not torch.equal(
        model.lm_head.weight, toy_model().lm_head.weight
    )
    test_window.test_a_restart_does_not_get_its_window_again(tmp_path / "again")


def test_09_another_number_of_workers_keeps_the_sample_sequence() -> None:
    alone = [_samples(step, 1) for step in range(6)]
    assert alone == [_samples(step, size) for step, size in enumerate((2, 2, 1, 1, 2, 2))]
    assert len({tuple(s) for s in alone}) == 6


def test_10_a_sharded_checkpoint_loads_into_another_layout() -> None:
    test_shard.test_a_checkpoint_of_a_sharded_run_goes_on_in_another_layout()


def test_11_packed_and_unpacked_losses_are_equal_per_document() -> None:
    test_packing.test_documents_do_not_see_each_other_nor_the_padding()
    test_packing.test_tokens_labels_and_positions_are_those_of_the_document()
    test_loop.test_the_loss_of_a_step_is_the_mean_over_its_learnt_tokens()


def test_12_data_parallel_ranks_compute_what_one_process_does() -> None:
    test_loop.test_two_ranks_compute_what_one_does()


def test_12_a_sharded_base_computes_what_replicated_ones_do() -> None:
    test_shard.test_a_sharded_base_computes_what_replicated_ones_do()


@pytest.mark.parametrize("damage", ["no manifest", "short", "changed", "missing", "half written"])
def test_13_a_torn_checkpoint_is_never_picked(tmp_path, damage: str) -> None:
    test_checkpoint.test_a_torn_checkpoint_is_never_chosen(tmp_path, damage)


def _losses(directory: Path, window_s: float = 1e9) -> dict[int, float]:
    """Ten steps of 10 s each, in as many windows as that takes; dropout draws anew in every attempt.

    The rate is held still: the cosine goes to the window's horizon, which is another in a shorter window.
    """
    found: dict[int, float] = {}
    settings = toy_settings(schedule=toy_schedule())
    for attempt in range(1, 5):
        clock, lines = Clock(), []
        torch.manual_seed(attempt)
        toy_fit(toy_model(dropout=0.3), window=Window(window_s * attempt, 0.0, clock), clock=clock, settings=settings,
                checkpoints=Checkpoints(directory, parents={}), evaluation=[],
                on_step=lambda line, lines=lines, clock=clock: (lines.append(line), clock.jump(10.0)))  # fmt: skip
        found |= {line["step"]: line["loss"] for line in lines}
    assert list(found) == list(range(1, 11))
    return found


def toy_schedule():
    """A rate that does not fall."""
    from pe_ray.train.schedule import Schedule

    return Schedule(1e-2, floor=1.0, warmup_steps=0)


def _samples(step: int, size: int) -> list[tuple[int, ...]]:
    """The rows of a step over all ranks, in the order of the global batch."""
    parts = [
        next(TrainBatches(toy_examples(), SHAPE, 7, pad_id=0, rank=rank, size=size).start(step)) for rank in range(size)
    ]
    batches = [parts[i % size][i // size] for i in range(SHAPE.accumulation)]
    return [tuple(row.tolist()) for batch in batches for row in batch.input_ids_BT]


def _exact(lines: list[dict]) -> list[tuple]:
    return [(s["step"], s["loss"], s["terms"], s["lr"], s["expert_share"], s.get("eval_loss")) for s in lines]


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "weights.safetensors")
