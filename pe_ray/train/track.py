"""The step log in other programs' form: TensorBoard, MLflow, Weights & Biases, all on this machine's disk.

`steps.jsonl` stays the record; a tracker is a mirror of it. One that fails in the middle of a run is let go with a
line on stderr: a plot is not worth a day of training.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pe_ray.config import Config
from pe_ray.errors import UserError
from pe_ray.store.paths import Home

PROJECT = "pe_ray"


class Tracker(Protocol):
    """One place that a run is mirrored to."""

    def write(self, line: Mapping[str, Any]) -> None:
        """Take one line of the step log; a restarted run brings steps again."""

    def close(self) -> None:
        """Bring everything to disk."""


OnStep = Callable[[Mapping[str, Any]], None]
Open = Callable[[Home, str, Config], Tracker]


class TensorBoard:
    """Event files in `runs/<id>/tensorboard/`."""

    def __init__(self, home: Home, run_id: str, config: Config) -> None:
        self.directory, self.names = home.run(run_id) / "tensorboard", config.model.experts
        self._writer: Any = None

    def write(self, line: Mapping[str, Any]) -> None:
        if self._writer is None:
            from tensorboardX import SummaryWriter

            # what an attempt that was killed wrote from this step on is hidden by the reader
            self._writer = SummaryWriter(str(self.directory), purge_step=line["step"])
        for name, value in scalars(line, self.names).items():
            self._writer.add_scalar(name, value, line["step"])

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class MLflow:
    """A run of the experiment `pe_ray` in `tracking/mlflow.db` under the home; the same run id goes on with it."""

    def __init__(self, home: Home, run_id: str, config: Config) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self.names, where = config.model.experts, home.root / "tracking"
        where.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=f"sqlite:///{where / 'mlflow.db'}")
        self._run = self._begin(where, run_id)

    def _begin(self, where: Path, run_id: str) -> str:
        client = self._client
        known = client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else client.create_experiment(PROJECT, (where / "mlflow").as_uri())
        for run in client.search_runs([experiment], filter_string=f"tags.run_id = '{run_id}'"):
            client.update_run(run.info.run_id, status="RUNNING")
            return str(run.info.run_id)
        return str(client.create_run(experiment, run_name=run_id, tags={"run_id": run_id}).info.run_id)

    def write(self, line: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        found = scalars(line, self.names).items()
        self._client.log_batch(self._run, metrics=[Metric(n, v, now_ms, line["step"]) for n, v in found])

    def close(self) -> None:
        self._client.set_terminated(self._run)


class WandB:
    """An offline run in `tracking/wandb/` under the home; `wandb sync` sends it, if you want it sent."""

    def __init__(self, home: Home, run_id: str, config: Config) -> None:
        import wandb

        self.names, where = config.model.experts, home.root / "tracking"
        where.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off")
        self._run = wandb.init(
            project=PROJECT, name=run_id, id=run_id, resume="allow", mode="offline", dir=str(where), settings=settings
        )

    def write(self, line: Mapping[str, Any]) -> None:
        # a step of its own, not wandb's: that one only goes up, and a restarted run brings steps again
        self._run.log({"step": line["step"], **scalars(line, self.names)})

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, tuple[str, Open]] = {
    "tensorboard": ("tensorboardX", TensorBoard),
    "mlflow": ("mlflow", MLflow),
    "wandb": ("wandb", WandB),
}
"""Name in `train.track`: the module that it needs, and what opens it."""


def check(names: Sequence[str]) -> None:
    """Refuse, before a run starts, what is unknown or not installed: UserError with a line for each."""
    problems = []
    for name in dict.fromkeys(names):
        if name not in TRACKERS:
            problems.append(f"train.track={name}: is not one of {', '.join(TRACKERS)}")
        elif importlib.util.find_spec(TRACKERS[name][0]) is None:
            problems.append(
                f"train.track={name}: needs the package {TRACKERS[name][0]}; pip install 'pe-ray[{name}]', "
                f"or leave {name} out of train.track"
            )
    if problems:
        raise UserError(*problems)


@contextmanager
def tracking(names: Sequence[str], home: Home, run_id: str, config: Config) -> Iterator[OnStep]:
    """While the block runs, yield an `on_step` that hands every line of the step log to each tracker of `names`.

    Raises UserError for one that is unknown or not installed.
    """
    check(names)
    trackers = _Mirrors({name: TRACKERS[name][1] for name in dict.fromkeys(names)})
    trackers.open(home, run_id, config)
    try:
        yield trackers.write
    finally:
        trackers.close()


class _Mirrors:
    """Several trackers as one; each that fails is told of and let go."""

    def __init__(self, wanted: Mapping[str, Open]) -> None:
        self.wanted = wanted
        self.trackers: dict[str, Tracker] = {}

    def open(self, home: Home, run_id: str, config: Config) -> None:
        for name, make in self.wanted.items():
            with _told(name):
                self.trackers[name] = make(home, run_id, config)

    def write(self, line: Mapping[str, Any]) -> None:
        for name, tracker in list(self.trackers.items()):
            with _told(name) as failed:
                tracker.write(line)
            if failed:
                del self.trackers[name]

    def close(self) -> None:
        for name, tracker in self.trackers.items():
            with _told(name):
                tracker.close()
        self.trackers.clear()


@contextmanager
def _told(name: str) -> Iterator[list[str]]:
    """Turn whatever a foreign library raises into a line on stderr; the yielded list has it afterwards."""
    failed: list[str] = []
    try:
        yield failed
    except Exception as error:  # noqa: BLE001 (any library, any disk; the run and its step log go on)
        failed.append(type(error).__name__)
        print(f"train.track={name}: {type(error).__name__}; not mirrored any further, the run goes on", file=sys.stderr)


def scalars(line: Mapping[str, Any], experts: Sequence[str] = ()) -> dict[str, float]:
    """The numbers of a line by name: `loss`, `terms/lm`, `expert_share/psychology`; the step itself is left out.

    What is absent or no number has no place in a plot.
    """
    found: dict[str, float] = {}
    for key, value in line.items():
        if key == "step":
            continue
        if isinstance(value, Mapping):
            found |= {f"{key}/{name}": part for name, part in scalars(value, experts).items()}
        elif isinstance(value, list | tuple):
            names = experts if len(experts) == len(value) else [str(i) for i in range(len(value))]
            found |= {f"{key}/{n}": float(v) for n, v in zip(names, value, strict=True) if isinstance(v, int | float)}
        elif isinstance(value, int | float):
            found[key] = float(value)
    return found
