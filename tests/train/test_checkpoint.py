from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from pe_ray.errors import ManifestError, UserError
from pe_ray.store import manifest
from pe_ray.train import checkpoint
from pe_ray.train.checkpoint import PLAN, Checkpoints, best, code_version, finished, restore
from tests.train.toy import toy_fit, toy_settings


def parts(seed: int = 0):
    torch.manual_seed(seed)
    parameters = {"a": torch.nn.Parameter(torch.randn(3, 4)), "b": torch.nn.Parameter(torch.randn(5))}
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-2, fused=True)
    for _ in range(3):
        for p in parameters.values():
            p.grad = torch.randn_like(p)
        optimizer.step()
    return parameters, optimizer


def save(points: Checkpoints, step: int, eval_loss: float | None = None, seed: int = 0) -> Path:
    path = points.save(step, *parts(seed), {"step": step, "elapsed_s": step * 1.5}, eval_loss)
    points.wait()
    return path


def test_parameters_and_moments_come_back_bit_for_bit(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={"run": "r"})
    save(points, 7, seed=1)
    parameters, optimizer = parts(seed=2)
    restore(points.latest(), parameters, optimizer)
    wanted, wanted_optimizer = parts(seed=1)
    grads = [torch.randn_like(p) for p in wanted.values()]
    for several, mover in ((parameters, optimizer), (wanted, wanted_optimizer)):
        for p, g in zip(several.values(), grads, strict=True):
            p.grad = g.clone()
        mover.step()
    assert all(torch.equal(parameters[n], wanted[n]) for n in wanted)
    assert points.latest().state() == {"step": 7, "elapsed_s": 10.5}


def test_the_newest_stay_and_the_best(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={}, keep=2)
    for step, loss in [(1, 3.0), (2, 1.0), (3, None), (4, 2.0), (5, 2.5), (6, None)]:
        save(points, step, loss)
    assert [c.step for c in finished(tmp_path)] == [2, 5, 6]
    assert points.best().step == 2 and points.latest().step == 6


def test_order_is_by_step_also_past_six_digits(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={})
    for step in (999_999, 1_000_000):
        save(points, step)
    assert points.latest().step == 1_000_000


@pytest.mark.parametrize("damage", ["no manifest", "short", "changed", "missing", "half written"])
def test_a_torn_checkpoint_is_never_chosen(tmp_path, damage: str) -> None:
    points = Checkpoints(tmp_path, parents={})
    save(points, 1)
    path = save(points, 2)
    weights = path / "weights.safetensors"
    if damage == "no manifest":
        (path / manifest.NAME).unlink()
    elif damage == "short":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    elif damage == "missing":
        (path / "optimizer.safetensors").unlink()
    else:
        path.rename(tmp_path / ".step_000002.ab12cd34")
    assert points.latest().step == 1
    assert [p.name for p in tmp_path.iterdir()] == ["step_000001"]
    save(points, 2)
    assert points.latest().step == 2


def test_a_writer_that_fails_leaves_the_older_one(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={})
    save(points, 1)
    parameters, optimizer = parts()
    points.save(2, parameters, optimizer, {"step": object()}, None)
    with pytest.raises(TypeError):
        points.wait()
    assert [p.name for p in tmp_path.iterdir()] == ["step_000001"]


def test_weights_of_another_model_are_refused(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={})
    save(points, 1)
    parameters, optimizer = parts()
    parameters.pop("b")
    with pytest.raises(ManifestError, match="another model"):
        restore(points.latest(), parameters, optimizer)


def test_best_of_a_run_names_its_base(tmp_path) -> None:
    with pytest.raises(UserError, match="no finished checkpoint"):
        best(tmp_path / "r")
    points = Checkpoints(tmp_path / "r" / "checkpoints", parents={})
    save(points, 1, 0.5)
    save(points, 2)
    (tmp_path / "r" / PLAN).write_text(json.dumps({"base": "/somewhere"}))
    assert best(tmp_path / "r") == (points.at(1).path, Path("/somewhere"))


def test_the_code_has_a_version() -> None:
    assert len(code_version()) >= 7


def test_what_is_written_is_what_there_was_when_it_was_asked_for(tmp_path) -> None:
    """Training goes on while the thread writes."""
    points = Checkpoints(tmp_path, parents={})
    parameters, optimizer = parts()
    wanted = {name: p.detach().clone() for name, p in parameters.items()}
    points.save(1, parameters, optimizer, {}, None)
    with torch.no_grad():
        for p in parameters.values():
            p.zero_()
        for moments in optimizer.state.values():
            moments["exp_avg"].zero_()
    points.wait()
    found = points.latest()
    assert all(torch.equal(found.weights()[name], wanted[name]) for name in wanted)
    restore(found, parameters, optimizer)
    assert all(moments["exp_avg"].abs().sum() > 0 for moments in optimizer.state.values())


def test_a_failed_writer_is_heard_of_at_the_next_save(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={})
    points.save(1, *parts(), {"step": object()}, None)
    with pytest.raises(TypeError):
        points.save(2, *parts(), {}, None)


def test_a_full_disk_is_told_as_one(tmp_path, monkeypatch) -> None:
    def no_room(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    points = Checkpoints(tmp_path, parents={})
    toy_fit(checkpoints=points, settings=toy_settings(steps=2), evaluation=[])
    monkeypatch.setattr(checkpoint, "save_file", no_room)
    with pytest.raises(OSError, match="No space left on device") as caught:
        toy_fit(checkpoints=Checkpoints(tmp_path, parents={}), settings=toy_settings(steps=4), evaluation=[])
    assert caught.value.errno == errno.ENOSPC and str(tmp_path) in str(caught.value.filename)
    assert [c.step for c in finished(tmp_path, verify=True)] == [2]
