"""A killed run goes on from its checkpoint and repeats the losses of one that was not killed, bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import torch

from pe_ray.train import steplog
from pe_ray.train.checkpoint import Checkpoints, finished
from pe_ray.train.run import train
from tests.train.conftest import KILLED, make_config
from tests.train.toy import Threads, toy_fit, toy_model, toy_settings

ROOT = Path(__file__).parents[2]


def test_a_run_killed_with_sigkill_goes_on_bit_for_bit(world) -> None:
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


def test_two_ranks_go_on_bit_for_bit(tmp_path) -> None:
    def losses(directory: Path, *steps: int) -> list:
        """Runs of so many steps one after the other; each is a new process's worth of objects."""
        found: dict[int, float] = {}
        for last in steps:

            def work(collective, last=last):
                points, lines = Checkpoints(directory, parents={}), []
                asked = lambda: bool(lines) and lines[-1]["step"] >= last - 1  # noqa: E731
                toy_fit(toy_model(), collective=collective, checkpoints=points, on_step=lines.append,
                        stop_asked=asked if last < 12 else lambda: False, settings=toy_settings(steps=12))  # fmt: skip
                return lines

            found |= {line["step"]: (line["loss"], line["lr"]) for line in Threads(2).run(work)[0]}
        return sorted(found.items())

    whole, parts = losses(tmp_path / "a", 12), losses(tmp_path / "b", 3, 7, 12)
    assert whole == parts and len(whole) == 12


def test_dropout_and_optimizer_go_on_as_they_were(tmp_path) -> None:
    def run(directory: Path, stops: tuple[int, ...]) -> dict[int, float]:
        found: dict[int, float] = {}
        for stop in stops:
            model, lines = toy_model(dropout=0.3), []
            torch.manual_seed(stop)  # whatever state the process is in does not matter
            toy_fit(model, checkpoints=Checkpoints(directory, parents={}), on_step=lines.append,
                    stop_asked=lambda lines=lines, stop=stop: len(lines) >= stop)  # fmt: skip
            found |= {line["step"]: line["loss"] for line in lines}
        return found

    assert run(tmp_path / "a", (99,)) == run(tmp_path / "b", (2, 3, 99))


def _exact(lines: list[dict]) -> list[tuple]:
    return [(s["step"], s["loss"], s["terms"], s["lr"], s["expert_share"], s.get("eval_loss")) for s in lines]


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(checkpoint / "weights.safetensors")
