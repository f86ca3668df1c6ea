"""Checkpoints of a run: `runs/<id>/checkpoints/step_000100/`, each a finished directory or none at all.

weights.safetensors (the trainable parameters), optimizer.safetensors, state.json (step, tokens, elapsed seconds,
horizon, evaluations). There is no generator state and no data cursor to keep: both follow from (seed, step, rank).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pe_ray import __version__
from pe_ray.errors import ManifestError, UserError
from pe_ray.store import manifest
from pe_ray.train import steplog

if TYPE_CHECKING:
    from pe_ray.train.remote import Remote

KIND = "checkpoint"
PLAN = "plan.json"
"""What a run was started with; beside `checkpoints/`."""


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint; `eval_loss` is that of its own step, None where none was measured."""

    path: Path
    step: int
    eval_loss: float | None

    def state(self) -> dict[str, Any]:
        """The loop's state as it was saved."""
        state: dict[str, Any] = json.loads((self.path / "state.json").read_text())
        return state

    def weights(self) -> dict[str, Tensor]:
        """The trainable parameters by name, on the CPU."""
        return load_file(self.path / "weights.safetensors")


class Checkpoints:
    """The checkpoints of one run; one process (rank 0) writes them, in a thread of its own.

    The newest `keep` stay on disk, and the one with the best evaluation. `parents` and `facts` go into every manifest.
    `remote` gets a copy of each, and gives the newest back where the disk has none.
    """

    def __init__(
        self,
        directory: Path,
        *,
        parents: Mapping[str, str],
        facts: Mapping[str, Any] | None = None,
        keep: int = 3,
        remote: Remote | None = None,
    ) -> None:
        self.remote = remote
        self.directory, self.parents, self.facts, self.keep = directory, dict(parents), dict(facts or {}), keep
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(
        self,
        step: int,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        state: Mapping[str, Any],
        eval_loss: float | None,
    ) -> Path:
        """Copy what there is to keep, and write it beside the training; one of the same step is replaced.

        Training waits for the copy alone, and for the checkpoint before this one if that is still being written. What
        goes wrong in writing is raised by the next `save` or by `wait`.
        """
        self.wait()
        weights, moments = _copied(parameters), _optimizer_tensors(parameters, optimizer)
        facts = self.facts | {"step": step, "eval_loss": eval_loss, "elapsed_s": state.get("elapsed_s")}
        self._writing = self._writer.submit(self._write, self.at(step).path, weights, moments, dict(state), facts)
        return self.at(step).path

    def wait(self) -> None:
        """Until nothing is being written; raises what went wrong in writing."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(
        self,
        target: Path,
        weights: dict[str, Tensor],
        moments: dict[str, Tensor],
        state: dict[str, Any],
        facts: dict[str, Any],
    ) -> None:
        """The files, the manifest last; then remove what need not be kept."""
        manifest.remove(target)
        with manifest.stage(target, kind=KIND, parents=self.parents) as out:
            _save(weights, out / "weights.safetensors")
            _save(moments, out / "optimizer.safetensors")
            (out / "state.json").write_text(json.dumps(state, indent=1))
            out.facts.update(facts)
        self._prune()
        if self.remote:
            kept = {c.path.name for c in finished(self.directory)}
            self.remote.push(target, self.directory.parent / steplog.NAME, kept)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint, every file hashed; what a killed writer left is removed. Only the writer may ask."""
        self.wait()
        good = finished(self.directory, verify=True)
        if not good and self.remote and self.remote.fetch(self.directory.parent):
            good = finished(self.directory, verify=True)
        for path in self.directory.glob("*step_*"):
            if path not in {c.path for c in good}:
                manifest.remove(path)
        return good[-1] if good else None

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of one step, as rank 0 told the others."""
        return Checkpoint(self.directory / f"step_{step:06d}", step, None)

    def best(self) -> Checkpoint | None:
        """The checkpoint with the best evaluation, else the newest."""
        self.wait()
        have = finished(self.directory)
        return (_best(have) or have[-1:] or [None])[0]

    def _prune(self) -> None:
        have = finished(self.directory)
        kept = {c.path for c in have[-self.keep :]} | {c.path for c in _best(have)}
        for checkpoint in have:
            if checkpoint.path not in kept:
                manifest.remove(checkpoint.path)


def restore(checkpoint: Checkpoint, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Put weights and optimizer state back, bit for bit. Raises ManifestError if they are of another model."""
    weights = checkpoint.weights()
    if set(weights) != set(parameters):
        raise ManifestError(f"{checkpoint.path}: holds the parameters of another model; start a new run id")
    moments = load_file(checkpoint.path / "optimizer.safetensors")
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(weights[name])
    optimizer.state.clear()
    for key, tensor in moments.items():
        field, _, name = key.partition(":")
        p = parameters[name]
        optimizer.state[p][field] = tensor.to(p.device if field != "step" or _fused(optimizer) else "cpu", copy=True)


def finished(directory: Path, *, verify: bool = False) -> list[Checkpoint]:
    """The finished checkpoints under `checkpoints/`, oldest first; with `verify` every file is hashed."""
    found = []
    for path in directory.glob("step_*"):
        try:
            facts = manifest.read(path, KIND, verify=verify).facts
        except ManifestError:
            continue
        found.append(Checkpoint(path, facts["step"], facts["eval_loss"]))
    return sorted(found, key=lambda c: c.step)


def best(run_dir: Path) -> tuple[Path, Path]:
    """Of a run, the checkpoint with the best evaluation (else the newest) and the directory of its base.

    Raises UserError if the run has no finished checkpoint.
    """
    have = finished(run_dir / "checkpoints")
    if not have or not (run_dir / PLAN).is_file():
        raise UserError(f"run_id={run_dir.name}: has no finished checkpoint under {run_dir}; run `pe-ray train` first")
    chosen = (_best(have) or have[-1:])[0]
    return chosen.path, Path(json.loads((run_dir / PLAN).read_text())["base"])


def code_version() -> str:
    """The commit that this code is a checkout of, else the version of the package."""
    git = Path(__file__).parents[2] / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        return (git / head.removeprefix("ref: ")).read_text().strip()
    except OSError:
        return f"pe_ray {__version__}"


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    """Raises OSError where the disk is full, which safetensors says in words of its own."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        if found:
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None
        raise


def _best(have: list[Checkpoint]) -> list[Checkpoint]:
    measured = [c for c in have if c.eval_loss is not None]
    return [min(measured, key=lambda c: (c.eval_loss, -c.step))] if measured else []


def _copied(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: p.detach().to("cpu", copy=True).contiguous() for name, p in parameters.items()}


def _optimizer_tensors(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for name, p in parameters.items():
        for field, value in optimizer.state.get(p, {}).items():
            tensors[f"{field}:{name}"] = value.detach().to("cpu", copy=True).contiguous()
    return tensors


def _fused(optimizer: torch.optim.Optimizer) -> bool:
    return bool(optimizer.defaults.get("fused"))
