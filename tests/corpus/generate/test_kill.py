"""Killed with SIGKILL twice and run again: nothing twice, nothing lost, the same bytes as an undisturbed run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus import generate
from pe_ray.store.paths import Home
from tests.corpus.generate.conftest import ROOT

IN_FLIGHT = 8
WRITER = """
import sys
from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus import generate
from pe_ray.store.paths import Home
config = GenerateConfig.model_validate_json(sys.argv[2])
generate.run("edge-cases", config, Home.at(sys.argv[1]), print, environ={})
"""


def start(home: Home, config: GenerateConfig) -> subprocess.Popen[bytes]:
    """A process that writes the set."""
    command = [sys.executable, "-c", WRITER, str(home.root), config.model_dump_json()]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def finished(home: Home) -> int:
    """Scenarios whose line is on disk."""
    shards = home.root.glob("generated/*/*.partial/*.jsonl")
    return sum(line.startswith(b'{"done"') for shard in shards for line in shard.read_bytes().splitlines())


@pytest.mark.parametrize("num_scenarios", [90, pytest.param(300, marks=pytest.mark.slow)])
def test_two_kills_lose_nothing_and_repeat_nothing(
    num_scenarios: int,
    home: Home,
    tmp_path: Path,
    settings: Callable[..., GenerateConfig],
    stats: Callable[[], dict[str, Any]],
) -> None:
    config = settings("slow", edge_cases=num_scenarios, in_flight=IN_FLIGHT, seed=5, cost_cap_usd=2.0)
    before = Counter(stats()["answered"])
    for least in (num_scenarios // 4, num_scenarios // 2):
        process = start(home, config)
        while finished(home) < least:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert finished(home) < num_scenarios
    had = finished(home)
    said: list[str] = []
    result = generate.run("edge-cases", config, home, said.append, environ={})
    asked = Counter(stats()["answered"])
    asked.subtract(before)

    assert result.summary["resumed"] == had
    assert (result.summary["written"], result.summary["failed"]) == (num_scenarios, 0)
    rows = [json.loads(line) for line in (result.path / "edge_cases.jsonl").read_text().splitlines()]
    assert len({r["id"] for r in rows}) == len({r["client"] for r in rows}) == num_scenarios
    # paid for twice: at most what was under way when it was killed, and that is in the account
    again = sum(count - 1 for count in asked.values() if count > 1)
    assert again <= 2 * IN_FLIGHT
    assert result.summary["spent_usd"] <= 2.0
    assert result.summary["requests"] >= sum(asked.values())

    unbroken = generate.run("edge-cases", config, Home.at(tmp_path / "other"), said.append, environ={})
    assert unbroken.path.name == result.path.name
    for name in ("edge_cases.jsonl", "held.jsonl", "failed.jsonl"):
        assert (unbroken.path / name).read_bytes() == (result.path / name).read_bytes()
