from __future__ import annotations

import pytest

from pe_ray.train.steplog import StepLog, elapsed_s, read, tail


def line(step: int, elapsed: float, loss: float = 1.0) -> dict:
    return {"step": step, "elapsed_s": elapsed, "loss": loss}


def test_the_last_line_of_a_step_wins_and_takes_back_what_followed(tmp_path) -> None:
    path = tmp_path / "steps.jsonl"
    with StepLog(path) as log:
        for s in (1, 2, 3, 4):
            log.write(line(s, s * 1.0))
    with StepLog(path) as log:
        assert log.elapsed_s == 4.0
        log.write(line(3, 5.0, loss=0.5))
    assert [(s["step"], s["loss"]) for s in read(path)] == [(1, 1.0), (2, 1.0), (3, 0.5)]
    assert elapsed_s(path) == 5.0


def test_a_line_torn_by_a_kill_is_left_out_and_the_next_one_is_whole(tmp_path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(b'{"step": 1, "elapsed_s": 1.0, "loss": 2.0}\n{"step": 2, "ela')
    with StepLog(path) as log:
        log.write(line(2, 3.0))
    assert [s["step"] for s in read(path)] == [1, 2]


def test_numbers_come_back_as_they_were(tmp_path) -> None:
    losses = [0.1 + 0.2, 1e-308, 3.141592653589793, 2.0**-1074]
    with StepLog(tmp_path / "s") as log:
        for i, loss in enumerate(losses):
            log.write(line(i, 0.0, loss))
        with pytest.raises(ValueError):
            log.write(line(9, 0.0, float("nan")))
    assert [s["loss"] for s in read(tmp_path / "s")] == losses


def test_the_tail_gives_whole_lines_once(tmp_path) -> None:
    path = tmp_path / "s"
    assert tail(path, 0) == ([], 0)
    path.write_bytes(b'{"step": 1}\n{"step"')
    lines, at = tail(path, 0)
    assert [x["step"] for x in lines] == [1] and at == 12
    path.write_bytes(path.read_bytes() + b": 2}\n")
    assert [x["step"] for x in tail(path, at)[0]] == [2]


def test_no_log_has_no_steps(tmp_path) -> None:
    assert read(tmp_path / "none") == [] and elapsed_s(tmp_path / "none") == 0.0
