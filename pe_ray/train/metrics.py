"""What a run tells Prometheus after every step: loss, rate, memory, storage, who of the experts was asked.

    tell = Mirror(run_dir, config)       # then tell(line) for every line of the step log

The figures go to three places: the gauges of this process (`monitor/metrics.py`), `metrics.prom` in the run's directory
for the textfile collector of Prometheus' node exporter, and, on a Ray worker, Ray's own metrics (job.py).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

from pe_ray.config import Config
from pe_ray.monitor.metrics import TRAIN, TRAIN_SHARE
from pe_ray.store.manifest import write_bytes

NAME = "metrics.prom"
EVERY_S = 5.0
"""Between two writings of the file, and two looks at memory and storage."""
Send = Callable[[str, float, Mapping[str, str]], None]


class Mirror:
    """Figures of one run; `send(name, value, labels)` is handed each of them too."""

    def __init__(
        self, run_dir: Path, config: Config, send: Send | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.run_dir, self.config, self.send, self.clock = run_dir, config, send, clock
        self.next_s = clock()
        self._last: tuple[int, float] | None = None

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Tell of one step."""
        values = self._of(line)
        late = self.clock() >= self.next_s
        if late:
            self.next_s = self.clock() + EVERY_S
            values |= resources(self.run_dir)
        for name, value in values.items():
            self._tell(name, value, {})
        for name, share in zip(self.config.model.experts, line.get("expert_share") or (), strict=False):
            self._tell("pe_train_expert_share", share, {"expert": name})
        if late:
            write_bytes(self.run_dir / NAME, self._text(line, values).encode())

    def _of(self, line: Mapping[str, Any]) -> dict[str, float]:
        found = {
            "pe_train_step": line["step"],
            "pe_train_horizon_steps": line["horizon_steps"],
            "pe_train_elapsed_seconds": line["elapsed_s"],
            "pe_train_window_seconds": self.config.train.window_s,
            "pe_train_learning_rate": line["lr"],
            "pe_train_loss": (line.get("terms") or {}).get("lm"),
            "pe_train_loss_slope": line.get("slope"),
            "pe_train_held_out_loss": line.get("eval_loss"),
        }
        if self._last and line["elapsed_s"] > self._last[1]:
            found["pe_train_tokens_per_second"] = line["tokens"] / (line["elapsed_s"] - self._last[1])
        self._last = (line["step"], line["elapsed_s"])
        return {n: float(v) for n, v in found.items() if v is not None and math.isfinite(v)}

    def _tell(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        if labels:
            TRAIN_SHARE.labels(**labels).set(value)
        else:
            TRAIN[name].set(value)
        if self.send:
            self.send(name, value, labels)

    def _text(self, line: Mapping[str, Any], values: Mapping[str, float]) -> str:
        run = f'run="{self.run_dir.name}"'
        rows = [f"{name}{{{run}}} {value:g}" for name, value in values.items()]
        shares = zip(self.config.model.experts, line.get("expert_share") or (), strict=False)
        rows += [f'pe_train_expert_share{{{run},expert="{name}"}} {share:g}' for name, share in shares]
        return "\n".join(rows) + "\n"


def resources(run_dir: Path) -> dict[str, float]:
    """Memory of this process and of its GPU, and the room that is left for checkpoints."""
    found = {
        "pe_train_memory_bytes": float(psutil.Process().memory_info().rss),
        "pe_train_storage_free_bytes": float(shutil.disk_usage(run_dir).free),
    }
    if torch.cuda.is_available():
        found["pe_train_gpu_memory_bytes"] = float(torch.cuda.max_memory_allocated())
    return found
