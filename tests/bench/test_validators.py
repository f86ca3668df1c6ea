from __future__ import annotations

import argparse

from pe_ray.bench import validators
from pe_ray.bench.__main__ import AREAS
from pe_ray.safety.learn import names


def test_the_area_measures_loading_messages_and_batches(monkeypatch) -> None:
    monkeypatch.setattr(validators, "LOADS", 1)
    monkeypatch.setattr(validators, "WARM_UP", 5)
    parser = argparse.ArgumentParser()
    validators.arguments(parser)
    args = parser.parse_args(["--messages", "500", "--batch", "500", "--stream", "1000"])
    found = {r.name: r for r in validators.run(args)}
    assert "validators" in AREAS
    assert {f"load_ms.{name}" for name in names()} <= set(found)
    assert found["together.message_p95_ms"].bound == 25
    assert found["together.texts_per_cpu_s"].bound == 2000
    assert {f"{name}.texts_per_cpu_s" for name in ("crisis", "bias", "emotion")} <= set(found)
    assert found["stream.peak_memory_mib"].value > 50
    assert all(r.value and r.value > 0 for r in found.values() if r.value is not None)


def test_messages_are_the_same_each_time_and_not_all_alike() -> None:
    first = validators.messages(50)
    assert first == validators.messages(50)
    assert len(set(first)) > 40
