"""The checks of test_correctness.py can fail: each mutation breaks the code in one place, and its check says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pe_ray.model import export, targets
from pe_ray.model.experts import LoRAExperts
from pe_ray.model.lora import LoRALinear
from pe_ray.model.router import Router, Routing
from pe_ray.train import checkpoint, loop, packing
from pe_ray.train.window import Window
from tests import test_correctness as correct
from tests.model import test_inject, test_lora, test_router
from tests.train import test_checkpoint, test_loop, test_packing, test_resume, test_window
from tests.train.trained import trained

Mutate = Callable[[pytest.MonkeyPatch], None]
Check = Callable[[Path], object]


def _zeroed_expert(m: pytest.MonkeyPatch) -> None:
    _change_tensors(m, lambda name, t: t * 0 if name.endswith("layers.1.block_sparse_moe.experts.2.w2.weight") else t)


def _missing_attention_delta(m: pytest.MonkeyPatch) -> None:
    right = LoRALinear.delta
    m.setattr(LoRALinear, "delta", lambda self, *dtype: right(self, *dtype) * 0)


def _change_tensors(m: pytest.MonkeyPatch, change: Callable[[str, Tensor], Tensor]) -> None:
    right = export._tensors
    m.setattr(export, "_tensors", lambda *a: ((name, change(name, t)) for name, t in right(*a)))


def _swapped_gate_and_up(m: pytest.MonkeyPatch) -> None:
    names = targets.TARGETS["llama"].expert
    swapped = replace(targets.TARGETS["llama"], expert=names | {"gate": names["up"], "up": names["gate"]})
    m.setitem(targets.TARGETS, "llama", swapped)


def _swapped_experts(m: pytest.MonkeyPatch) -> None:
    right = targets.Target.expert_name
    m.setattr(targets.Target, "expert_name", lambda self, layer, e, matrix: right(self, layer, (1, 0, 2, 3)[e], matrix))


def _forgotten_rope(m: pytest.MonkeyPatch) -> None:
    m.setattr(targets, "COPIED", tuple(n for n in targets.COPIED if n != "rope_parameters"))


def _unnormalised_target(m: pytest.MonkeyPatch) -> None:
    right = targets.TARGETS["qwen3"]

    def config(*sections):
        made = right.config(*sections)
        made.norm_topk_prob = False
        return made

    m.setitem(targets.TARGETS, "qwen3", replace(right, config=config))


def _unnormalised_router(m: pytest.MonkeyPatch) -> None:
    def forward(self: Router, hidden_NH: Tensor) -> Routing:
        found = right(self, hidden_NH)
        return replace(found, weight_NK=found.logits_NE.softmax(-1).topk(self.top_k, dim=-1).values)

    right = Router.forward
    m.setattr(Router, "forward", forward)


def _weights_not_cast(m: pytest.MonkeyPatch) -> None:
    right = Router.__init__
    m.setattr(Router, "__init__", lambda self, *a, **k: right(self, *a, **(k | {"cast_weights": False})))


def _scale_of_another_alpha(m: pytest.MonkeyPatch) -> None:
    right = LoRAExperts.pairs
    m.setattr(LoRAExperts, "pairs", lambda self, dtype: replace(right(self, dtype), scale=self.scale * 1.05))


def _dropped_optimizer_state(m: pytest.MonkeyPatch) -> None:
    right = checkpoint.restore

    def restore(found, parameters, optimizer) -> None:
        right(found, parameters, optimizer)
        optimizer.state.clear()

    m.setattr(loop, "restore", restore)


def _dropout_of_the_process(m: pytest.MonkeyPatch) -> None:
    m.setattr(loop, "_mix", lambda seed, step, rank: int(torch.randint(0, 2**31, ())))


def _positions_that_go_on(m: pytest.MonkeyPatch) -> None:
    """The last document leaks into the next: attention is kept apart by positions that start anew."""
    right = packing.collate

    def collate(examples, rows, context, pad_id):
        made = right(examples, rows, context, pad_id)
        return replace(made, position_ids_BT=torch.arange(context).expand(len(rows), -1))

    m.setattr(packing, "collate", collate)


def _labels_across_documents(m: pytest.MonkeyPatch) -> None:
    right = packing.collate

    def collate(examples, rows, context, pad_id):
        made = right(examples, rows, context, pad_id)
        return replace(made, labels_BT=made.input_ids_BT.roll(-1, dims=1))

    m.setattr(packing, "collate", collate)


def _every_rank_the_same_rows(m: pytest.MonkeyPatch) -> None:
    right = packing.collate_step
    m.setattr(packing, "collate_step", lambda *a: right(*a[:4], 0, a[5]))


def _padding_counts(m: pytest.MonkeyPatch) -> None:
    from pe_ray.model import router

    m.setattr(router, "_mask", lambda logits_LNE, mask_N: logits_LNE.new_ones(logits_LNE.shape[1]))


def _steps_that_are_never_skipped(m: pytest.MonkeyPatch) -> None:
    m.setattr(loop.math, "isfinite", lambda value: True)


def _a_clock_that_starts_anew(m: pytest.MonkeyPatch) -> None:
    m.setattr(Window, "resume", lambda self, elapsed_s, step_s: self.start())


def _files_that_are_not_hashed(m: pytest.MonkeyPatch) -> None:
    right = checkpoint.finished
    m.setattr(checkpoint, "finished", lambda directory, *, verify=False: right(directory))


def _exported(name: str) -> Check:
    def check(tmp_path: Path) -> None:
        found = correct.parity(trained(name), tmp_path / "merged")
        assert found.max_logit_diff <= 5e-6

    return check


def _casting(tmp_path: Path) -> None:
    test_router.test_routing_is_that_of_mixtral_and_qwen3(torch.bfloat16)


MUTATIONS: list[tuple[Mutate, Check]] = [
    (_zeroed_expert, _exported("llama")),
    (_missing_attention_delta, _exported("llama")),
    (_swapped_gate_and_up, _exported("llama")),
    (_swapped_experts, _exported("llama")),
    (_forgotten_rope, _exported("llama")),
    (_unnormalised_target, _exported("qwen3")),
    (_unnormalised_router, _exported("llama")),
    (_unnormalised_router, lambda _: test_inject.test_at_first_the_model_is_the_base("llama")),
    (_weights_not_cast, _casting),
    (_scale_of_another_alpha, lambda _: test_lora.test_one_expert_trains_as_peft_does()),
    (_padding_counts, lambda _: test_router.test_balance_equals_transformers()),
    (_dropped_optimizer_state, test_resume.test_dropout_and_optimizer_go_on_as_they_were),
    (_dropout_of_the_process, test_resume.test_dropout_and_optimizer_go_on_as_they_were),
    (_positions_that_go_on, lambda _: test_packing.test_documents_do_not_see_each_other_nor_the_padding()),
    (_positions_that_go_on, lambda _: test_loop.test_the_loss_of_a_step_is_the_mean_over_its_learnt_tokens()),
    (_labels_across_documents, lambda _: test_packing.test_tokens_labels_and_positions_are_those_of_the_document()),
    (_every_rank_the_same_rows, lambda _: correct.test_09_another_number_of_workers_keeps_the_sample_sequence()),
    (_every_rank_the_same_rows, lambda _: test_loop.test_two_ranks_compute_what_one_does()),
    (_steps_that_are_never_skipped, lambda _: test_loop.test_all_ranks_skip_what_one_of_them_could_not_compute()),
    (_a_clock_that_starts_anew, test_window.test_a_restart_does_not_get_its_window_again),
    (_files_that_are_not_hashed, lambda at: test_checkpoint.test_a_torn_checkpoint_is_never_chosen(at, "changed")),
]


@pytest.mark.parametrize(("mutate", "check"), MUTATIONS, ids=[f"{i}{m.__name__}" for i, (m, _) in enumerate(MUTATIONS)])
def test_a_mutation_is_found(mutate: Mutate, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        check(tmp_path)
