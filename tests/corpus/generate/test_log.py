"""What counts as done is on disk, a torn line costs one scenario and no other, and two processes never share a log."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from pe_ray.corpus.generate.log import Log, row_at
from pe_ray.errors import PeRayError


def write(folder: Path, *lines: dict) -> None:
    """One start that writes these lines."""
    log = Log(folder)
    asyncio.run(log.append(*lines))
    log.close()


def test_each_start_writes_a_shard_and_reads_those_before(tmp_path: Path) -> None:
    write(tmp_path, {"done": "a", "row": {"x": 1}, "said": "", "review": []})
    write(tmp_path, {"done": "b", "row": {"x": "é"}, "said": "", "review": []})
    log = Log(tmp_path)
    state = log.state()
    assert (log.number, set(state.done)) == (3, {"a", "b"})
    assert row_at(*state.done["b"])["row"] == {"x": "é"}
    log.close()


def test_many_appends_at_once_all_find_their_line_again(tmp_path: Path) -> None:
    log = Log(tmp_path)

    async def go() -> list[list[int]]:
        return await asyncio.gather(*(log.append({"done": str(i), "pad": "é" * i}) for i in range(300)))

    places = asyncio.run(go())
    log.close()
    for i, (offset,) in enumerate(places):
        assert row_at(log.shard, offset)["done"] == str(i)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_torn_last_line_is_dropped_and_said(tmp_path: Path, cut: int) -> None:
    write(tmp_path, {"done": "a", "row": {}}, {"done": "b", "row": {"text": "some words"}})
    shard = tmp_path / "000001.jsonl"
    os.truncate(shard, shard.stat().st_size - cut)
    log = Log(tmp_path)
    state = log.state()
    assert set(state.done) == {"a"}
    assert state.dropped_lines == 1
    log.close()
    write(tmp_path, {"done": "b", "row": {}})
    log = Log(tmp_path)
    assert set(log.state().done) == {"a", "b"}
    log.close()


@pytest.mark.parametrize("damage", [b"\x00\x00\n", b"[1]\n", b"not json\n", b"\xff\xfe\n"])
def test_a_damaged_line_in_the_middle_costs_itself_alone(tmp_path: Path, damage: bytes) -> None:
    shard = tmp_path / "000001.jsonl"
    shard.write_bytes(b'{"done": "a", "row": {}}\n' + damage + b'{"done": "b", "row": {}}\n')
    log = Log(tmp_path)
    state = log.state()
    assert (set(state.done), state.dropped_lines) == ({"a", "b"}, 1)
    log.close()


def test_a_request_without_an_end_counts_as_spent_at_its_worst(tmp_path: Path) -> None:
    cost = {"cost": "1-1", "prompt": 100, "completion": 50, "usd": 0.1, "assumed": False}
    write(tmp_path, {"sent": "1-1", "usd": 0.5}, {"sent": "1-2", "usd": 0.7}, cost)
    log = Log(tmp_path)
    state = log.state()
    assert state.spent_usd == pytest.approx(0.8)
    assert state.assumed_usd == pytest.approx(0.7)
    assert (state.requests, state.prompt_tokens, state.completion_tokens) == (2, 100, 50)
    log.close()


def test_a_scenario_that_failed_and_was_written_later_is_done(tmp_path: Path) -> None:
    write(
        tmp_path, {"failed": "a", "reason": "no answer", "again": True}, {"failed": "b", "reason": "x", "again": True}
    )
    write(tmp_path, {"done": "a", "row": {}}, {"failed": "b", "reason": "refused", "again": False})
    log = Log(tmp_path)
    state = log.state()
    assert (set(state.done), state.failed, state.again) == ({"a"}, {"b": "refused"}, set())
    log.close()


def test_a_second_process_is_told_to_wait(tmp_path: Path) -> None:
    log = Log(tmp_path)
    with pytest.raises(PeRayError, match="another process is writing this set"):
        Log(tmp_path)
    log.close()
    Log(tmp_path).close()


def test_a_full_disk_ends_in_one_line_and_nothing_follows_half_a_line(tmp_path: Path) -> None:
    log = Log(tmp_path)
    asyncio.run(log.append({"done": "a", "row": {}}))
    assert log._file is not None
    os.dup2(os.open("/dev/full", os.O_WRONLY), log._file)
    for _ in range(2):
        with pytest.raises(PeRayError, match=r"cannot be written \(No space left on device\); make room"):
            asyncio.run(log.append({"done": "b", "row": {}}))
    log.close()
    again = Log(tmp_path)
    assert set(again.state().done) == {"a"}
    again.close()


def test_a_line_is_synced_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, synced = Log(tmp_path), []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd))[1])
    asyncio.run(log.append({"done": "a"}))
    assert log._file in synced
    assert json.loads(log.shard.read_text()) == {"done": "a"}
    log.close()
