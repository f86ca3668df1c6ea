"""A training run on Ray Train workers: the same `train_rank`, the same files, the same samples as in one process.

Ray spawns the workers, watches them and starts them again; checkpoints are ours. A report of Train V2 that the
controller has not consumed is lost when a worker dies (ray 2.60), and its checkpoint with it; a directory whose
manifest is on disk is not.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_ray.config import Config
from pe_ray.config.tree import TrainConfig
from pe_ray.errors import PeRayError
from pe_ray.store.paths import Home
from pe_ray.train import steplog

if TYPE_CHECKING:  # Train's controller imports this file too; it need not wait for transformers (some nine seconds)
    from pe_ray.train.metrics import Send
    from pe_ray.train.run import OnStep, TrainResult
    from pe_ray.train.setup import Plan


PATIENT = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",  # a busy machine outlasts the default of 60
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon a dead worker, or the end of the run, is noticed
}


def train(
    config: Config,
    examples_dir: Path,
    base: str | Path,
    home: Home,
    run_id: str,
    *,
    profile_name: str | None = None,
    fitted: tuple[int, int] | None = None,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Train on `config.train.workers` Ray Train workers; arguments, files and errors as `run.train`.

    Needs a connected Ray. A worker that dies is started again up to `train.failures` times, with all others, from the
    newest checkpoint. Raises PeRayError when Ray Train gives up; the same run id then goes on.
    """
    from pe_ray.train import setup, watchdog
    from pe_ray.train.run import finish, recorded

    started = time.time()
    plan = setup.begin(config, examples_dir, base, home, run_id, profile_name, fitted)
    hang_s = config.train.hang_s
    bite = partial(watchdog.end_workers, plan.run_dir, hang_s)
    with recorded(plan, home), followed(plan.run_dir, on_step), watchdog.watched(plan.run_dir, hang_s, bite):
        stage = _fit(plan, started)
    return finish(plan, stage)


def _fit(plan: Plan, started: float) -> dict[str, Any]:
    import ray
    import ray.train as rt
    from ray.train.torch import TorchConfig, TorchTrainer

    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)  # Train hands these on to its controller and workers
    gpu = bool(ray.cluster_resources().get("GPU"))
    train = plan.config.train
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"plan": pickle.dumps(plan), "driver": os.getpid(), "started": started},
        # what waits for a rank that hangs fails by then, on whichever machine the rank is
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=max(1, round(train.hang_s))),
        scaling_config=rt.ScalingConfig(
            num_workers=_workers(train),
            use_gpu=gpu,
            resources_per_worker={"CPU": 0.5} | ({"GPU": 1} if gpu else {}),
        ),
        run_config=rt.RunConfig(
            name=plan.run_dir.name,
            storage_path=str(plan.run_dir / "ray"),
            failure_config=rt.FailureConfig(max_failures=train.failures),
        ),
    )
    try:
        # not in the main thread: there Ray would take Ctrl-C for itself and abort without a checkpoint
        result = futures.ThreadPoolExecutor(1, "pe_ray-train").submit(trainer.fit).result()
    except Exception as error:
        raise PeRayError(
            f"run_id={plan.run_dir.name}: Ray Train gave up ({_reason(error)}); the workers' logs are in Ray's session "
            "directory (logs/train); the same run id goes on from the newest checkpoint"
        ) from error
    return dict(result.return_value)


def _workers(train: TrainConfig) -> int | tuple[int, int]:
    """How many workers; a pair lets Ray Train go on with fewer, and take more in again when there is room."""
    most = max(1, train.workers)
    return most if train.min_workers in (None, most) else (train.min_workers, most)


def _worker(given: dict[str, Any]) -> dict[str, Any] | None:
    """One rank."""
    import ray.train.torch
    import torch

    from pe_ray.train import process
    from pe_ray.train.collective import Distributed, gather
    from pe_ray.train.run import train_rank

    plan: Plan = pickle.loads(given["plan"])
    device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    collective = Distributed(device)
    pids = gather(collective, os.getpid())
    if collective.rank == 0:
        process.write_pids(plan.run_dir, given["driver"], pids)
    return train_rank(plan, collective, started=given["started"], preempted=_preempted, send=_sender())


def _preempted() -> bool:
    """Whether a machine of this run is about to be taken away; a barrier over the workers."""
    import ray.train

    return ray.train.get_preemption_info() is not None


def _sender() -> Send:
    """Hands figures to Ray's own metrics, which its Prometheus endpoint shows."""
    from ray.util.metrics import Gauge

    gauges: dict[str, Any] = {}

    def send(name: str, value: float, labels: Mapping[str, str]) -> None:
        if name not in gauges:
            gauges[name] = Gauge(name, description=name.replace("_", " "), tag_keys=tuple(labels))
        gauges[name].set(value, tags=dict(labels))

    return send


@contextmanager
def followed(run_dir: Path, on_step: OnStep | None, every_s: float = 0.5) -> Iterator[None]:
    """While the block runs, hand every new line of the step log to `on_step`, in a thread of this process."""
    if on_step is None:
        yield
        return
    done, path = threading.Event(), run_dir / steplog.NAME
    seen = path.stat().st_size if path.exists() else 0

    def follow() -> None:
        at, last = seen, False
        while not last:
            last = done.wait(every_s)
            lines, at = steplog.tail(path, at)
            for line in lines:
                on_step(line)

    thread = threading.Thread(target=follow, daemon=True, name="pe_ray-steps")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[-1][:200]}" if text else type(error).__name__
