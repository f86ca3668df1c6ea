from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import pytest

from pe_ray.errors import UserError
from pe_ray.store.paths import Home
from pe_ray.train import track
from pe_ray.train.track import TensorBoard, check, scalars, tracking
from tests.train.conftest import make_config


def line(step: int, **more) -> dict:
    base = {"step": step, "loss": 2.0 / step, "terms": {"lm": 1.5}, "lr": 1e-3, "tokens": 64, "elapsed_s": 0.5 * step}
    return base | {"horizon_steps": 10} | more


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


def events(directory: Path) -> list:
    """Every event of the files of a directory, read back by the format alone: length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for file in sorted(directory.iterdir()):
        data, at = file.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            found.append(Event.FromString(data[at + 12 : at + 12 + size]))
            at += 16 + size
    return found


def test_a_line_becomes_numbers_by_name() -> None:
    got = scalars(line(2, expert_share=[0.4, 0.6], eval_loss=3.0, skipped=True), ["a", "b"])
    assert got == {
        "loss": 1.0, "terms/lm": 1.5, "lr": 1e-3, "tokens": 64.0, "elapsed_s": 1.0, "horizon_steps": 10.0,
        "expert_share/a": 0.4, "expert_share/b": 0.6, "eval_loss": 3.0, "skipped": 1.0,
    }  # fmt: skip


def test_what_is_no_number_is_left_out() -> None:
    assert scalars({"step": 1, "loss": None, "terms": {}, "note": "words", "by": {"x": {"loss": 1}}}) == {
        "by/x/loss": 1.0
    }
    assert scalars({"step": 1, "expert_share": [0.5, None, 0.5]}, ["a"]) == {
        "expert_share/0": 0.5,
        "expert_share/2": 0.5,
    }


def test_an_unknown_and_a_missing_tracker_are_a_line_each(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(track.TRACKERS, "mlflow", ("no_such_module", track.MLflow))
    with pytest.raises(UserError) as told:
        check(["mlfow", "mlflow"])
    assert [p.split(":")[0] for p in told.value.problems] == ["train.track=mlfow", "train.track=mlflow"]
    assert "pip install 'pe-ray[mlflow]'" in told.value.problems[1]
    with pytest.raises(UserError), tracking(["mlflow"], Home.at(tmp_path), "r", make_config()):
        raise AssertionError("the run must not begin")


def test_without_trackers_nothing_is_written(tmp_path) -> None:
    with tracking([], Home.at(tmp_path), "r", make_config()) as on_step:
        on_step(line(1))
    assert list(tmp_path.iterdir()) == []


@needs("tensorboardX")
def test_tensorboard_has_what_the_log_has(tmp_path) -> None:
    home, config = Home.at(tmp_path), make_config()
    with tracking(["tensorboard", "tensorboard"], home, "r", config) as on_step:
        for step in (1, 2, 3):
            on_step(line(step, expert_share=[0.1, 0.2, 0.3, 0.4]))
    found = [(v.tag, e.step, v.simple_value) for e in events(home.run("r") / "tensorboard") for v in e.summary.value]
    assert [(s, v) for tag, s, v in found if tag == "loss"] == [(1, 2.0), (2, 1.0), (3, pytest.approx(2 / 3))]
    shares = {tag: v for tag, s, v in found if s == 3 and tag.startswith("expert_share/")}
    assert shares == {f"expert_share/{n}": pytest.approx(0.1 * (i + 1)) for i, n in enumerate(config.model.experts)}


@needs("tensorboardX")
def test_a_restart_takes_back_the_steps_that_it_does_again(tmp_path) -> None:
    home = Home.at(tmp_path)
    for steps in ((1, 2, 3), (2, 3)):
        mirror = TensorBoard(home, "r", make_config())
        for step in steps:
            mirror.write(line(step))
        mirror.close()
    found = events(home.run("r") / "tensorboard")
    assert 2 in [e.step for e in found if e.WhichOneof("what") == "session_log"]


class Broken:
    """A tracker whose disk is full from the second line on."""

    def __init__(self, home: Home, run_id: str, config) -> None:
        self.lines = 0

    def write(self, line) -> None:
        self.lines += 1
        if self.lines > 1:
            raise OSError(28, "No space left on device")

    def close(self) -> None:
        raise AssertionError("it was let go")


def test_a_tracker_that_fails_is_let_go_and_the_others_go_on(tmp_path, monkeypatch, capsys) -> None:
    seen: list[int] = []

    class Good:
        def __init__(self, home: Home, run_id: str, config) -> None:
            pass

        def write(self, line) -> None:
            seen.append(line["step"])

        def close(self) -> None:
            seen.append(-1)

    monkeypatch.setitem(track.TRACKERS, "broken", ("json", Broken))
    monkeypatch.setitem(track.TRACKERS, "good", ("json", Good))
    with tracking(["broken", "good"], Home.at(tmp_path), "r", make_config()) as on_step:
        for step in (1, 2, 3):
            on_step(line(step))
    assert seen == [1, 2, 3, -1]
    assert capsys.readouterr().err.count("train.track=broken: OSError") == 1


@needs("mlflow")
def test_mlflow_keeps_a_run_in_its_file_and_goes_on_with_it(tmp_path) -> None:
    from mlflow import MlflowClient

    home = Home.at(tmp_path)
    for steps in ((1, 2), (3,)):
        with tracking(["mlflow"], home, "r", make_config()) as on_step:
            for step in steps:
                on_step(line(step))
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'tracking' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("pe_ray").experiment_id])
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [
        (1, 2.0), (2, 1.0), (3, pytest.approx(2 / 3)),
    ]  # fmt: skip


@needs("wandb")
def test_wandb_writes_offline(tmp_path) -> None:
    with tracking(["wandb"], Home.at(tmp_path), "r", make_config()) as on_step:
        on_step(line(1))
    assert list((tmp_path / "tracking" / "wandb").glob("offline-run-*"))
