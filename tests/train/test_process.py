from __future__ import annotations

import json
import os
import signal

import pytest
import torch

from pe_ray.errors import PeRayError
from pe_ray.train import process


def test_one_process_writes_a_run(tmp_path) -> None:
    with process.only_writer(tmp_path):
        with pytest.raises(PeRayError, match="another process is training it"):
            with process.only_writer(tmp_path, wait_s=0.0):
                pass
    with process.only_writer(tmp_path, wait_s=0.0):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_a_stop_and_the_second_is_the_systems(tmp_path, number) -> None:
    before = signal.getsignal(number)
    process.write_pids(tmp_path, os.getpid(), [1, 2])
    assert json.loads((tmp_path / "pids.json").read_text()) == {"driver": os.getpid(), "workers": [1, 2]}
    with process.stoppable(tmp_path):
        assert not process.stop_asked(tmp_path)
        os.kill(os.getpid(), number)
        assert process.stop_asked(tmp_path)
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before and list(tmp_path.iterdir()) == []


def test_a_request_that_an_earlier_run_left_does_not_count(tmp_path) -> None:
    (tmp_path / "stop").touch()
    with process.stoppable(tmp_path):
        assert not process.stop_asked(tmp_path)


def test_threads_and_kernels_are_as_before_afterwards() -> None:
    were = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with process.steady(2):
        assert torch.get_num_threads() == 2 and torch.are_deterministic_algorithms_enabled()
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == were
