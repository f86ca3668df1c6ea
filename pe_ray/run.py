"""A run as the doors see it: a directory, the resolved configuration, what it cost, and `summary.json` at its end."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pe_ray.config import Config, config_hash, dump
from pe_ray.monitor.meter import Meter
from pe_ray.store.manifest import write_bytes, write_json
from pe_ray.store.ops import Runs
from pe_ray.store.paths import Home


class Run:
    """One job from its start to its summary.

    with Run("corpus", config, home) as run:
        run.stages["corpus"] = ...
        summary = run.finish(report=path)
    """

    def __init__(self, job: str, config: Config, home: Home) -> None:
        now = datetime.now(UTC)
        self.id = config.run_id or f"{job}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.job = job
        self.config = config
        self.home = home
        self.directory = home.run(self.id)
        self.started_at = now.isoformat(timespec="seconds")
        self.stages: dict[str, Mapping[str, Any]] = {}
        self.meter = Meter()

    def __enter__(self) -> Run:
        self._runs = Runs(self.home)
        self._runs.begin(self.id, self.job, config_hash(self.config))  # before anything of another run is overwritten
        self.directory.mkdir(parents=True, exist_ok=True)
        write_bytes(self.directory / "config.yaml", dump(self.config).encode())
        self.meter.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.meter.__exit__(kind, error, trace)
        self._runs.end(self.id, "failed" if error else "done", None if error else self.stages)

    def summary(self, report: Path) -> dict[str, Any]:
        """The document of the contract of docs/reference/summary.md, with the stages that this run has."""
        return {
            "run_id": self.id,
            "started_at": self.started_at,
            "elapsed_s": round(self.meter.elapsed_s, 2),
            "cpu_s": round(self.meter.cpu_s, 2),
            "peak_memory_gib": round(self.meter.peak_memory_gib, 3),
            "report": str(report),
            "stages": self.stages,
        }

    def finish(self, report: Path) -> Path:
        """Write summary.json and return its absolute path."""
        path = self.directory / "summary.json"
        write_json(path, self.summary(report))
        return path.absolute()
