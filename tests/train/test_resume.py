"""A stopped run goes on from its checkpoint bit for bit; one that is killed is in tests/test_correctness.py."""

from __future__ import annotations

from pathlib import Path

import torch

from pe_ray.train.checkpoint import Checkpoints
from tests.train.toy import Threads, toy_fit, toy_model, toy_settings


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
