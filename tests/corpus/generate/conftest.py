"""One test provider for all tests of a process, and the settings that talk to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pe_ray.config.generate import GenerateConfig

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def provider_url() -> Iterator[str]:
    """Address of a running test provider."""
    command = [sys.executable, "-m", "tests.corpus.generate.server"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def settings(provider_url: str) -> Callable[..., GenerateConfig]:
    """Settings for a behaviour of the test provider."""

    def make(model: str, **more: Any) -> GenerateConfig:
        base = {
            "provider": "openai",
            "model": model,
            "base_url": f"{provider_url}/v1",
            "prices": {model: {"input": 1.0, "output": 4.0}},
            "backoff_s": 0.01,
            "backoff_max_s": 0.05,
            "cost_cap_usd": 50.0,
        }
        return GenerateConfig(**{**base, **more})

    return make


@pytest.fixture
def stats(provider_url: str) -> Callable[[], dict[str, Any]]:
    """What the test provider was asked so far."""
    return lambda: httpx.get(f"{provider_url}/stats").json()
