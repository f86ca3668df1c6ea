"""What a task is: its labels, its data with licences, how it is split, and what its model cannot do.

A task is a file of `tasks/` with `TASK = Task(...)`. Data stands under PE_RAY_DATA, or was written by us and stands
under `learn/data/` in the package.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pe_ray.errors import UserError
from pe_ray.safety.learn.abstain import MIN_WORDS
from pe_ray.safety.learn.features import Recipe
from pe_ray.safety.learn.head import Floats
from pe_ray.safety.learn.model import Model

OWN, PACKAGE = "own:", "package:"
"""A path that begins so stands under `learn/data/`, or anywhere in the package."""


@dataclass(frozen=True)
class Source:
    """A file that a task learns from or is measured on."""

    path: str
    name: str
    licence: str
    use: Literal["train", "measure"] = "train"

    def where(self, root: Path) -> Path:
        """The file itself."""
        if self.path.startswith(OWN):
            return Path(str(files("pe_ray.safety.learn") / "data" / self.path.removeprefix(OWN)))
        if self.path.startswith(PACKAGE):
            return Path(str(files("pe_ray") / self.path.removeprefix(PACKAGE)))
        return root / self.path


@dataclass(frozen=True)
class Examples:
    """N texts with their labels; texts of one group are never on both sides of a split."""

    texts: Sequence[str] = field(repr=False)
    label_NL: Floats = field(repr=False)
    """1, 0, or NaN where nobody has said."""
    groups: Sequence[str] = field(repr=False)
    weight_N: Floats | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        assert len(self.texts) == len(self.label_NL) == len(self.groups)

    def take(self, chosen_N: Any) -> Examples:
        """Some of them, by number or by a mask."""
        rows = np.flatnonzero(chosen_N) if np.asarray(chosen_N).dtype == np.bool_ else np.asarray(chosen_N)
        weight_N = None if self.weight_N is None else self.weight_N[rows]
        texts, groups = [self.texts[i] for i in rows], [self.groups[i] for i in rows]
        return Examples(texts, self.label_NL[rows], groups, weight_N)

    def fold(self, folds: int) -> Any:
        """(N,) the fold of each text, by a hash of its group: the same on every machine."""
        return np.array([int(hashlib.sha256(g.encode()).hexdigest()[:8], 16) % folds for g in self.groups])


@dataclass(frozen=True)
class Fit:
    """How a head is fitted."""

    strength: float = 1.0
    """Inverse of the penalty (C of a logistic regression)."""
    word_weight: float = 1.0
    """How much words and letters count beside marks of the whole text, which are fewer and carry over."""
    balanced: bool = True
    """Whether rare labels weigh as much as common ones."""
    least_texts: int = 2
    """A feature of fewer texts is left out."""
    keep: int = 40_000
    """Features that are kept, by what they add over the texts."""
    folds: int = 4
    """Calibration and thresholds come from what each fold's model says of the fold that it has not seen."""
    calibration: Literal["platt", "isotonic"] = "platt"
    weigh_calibration: bool = False
    """Whether the weights of the examples count in calibration and thresholds too."""
    aim: float | Literal["f1", "balanced"] = "f1"
    """Thresholds, for each label: of the best F1, of the best balanced accuracy, or the one that keeps this recall."""
    false_alarm: tuple[float, ...] = ()
    """For each of the first labels instead: the share of texts without any label, and of full weight, that it takes."""


Figures = Callable[[Model, Path], list[dict[str, Any]]]


@dataclass(frozen=True)
class Task:
    """One model that can be trained."""

    name: str
    version: int
    purpose: str
    labels: tuple[str, ...]
    recipe: Recipe
    sources: tuple[Source, ...]
    split: str
    limits: tuple[str, ...]
    """In plain words, for somebody who is about to rely on it."""
    read: Callable[[Path], Examples]
    """The training part, from the folder of public data; nothing that a figure is measured on."""
    figures: Figures | None = None
    """What the model is worth, once it is as it will be saved."""
    fitted: Callable[[Path, dict[str, Any], Callable[[str], None]], Model] | None = None
    """How the model is made, where its features are more than hashed texts: of the folder of data and the card."""
    fit: Fit = Fit()
    min_words: int = MIN_WORDS
    band: tuple[float, float] | None = None

    def missing(self, root: Path) -> list[str]:
        """Paths of sources that are not there."""
        return [s.path for s in self.sources if not s.where(root).is_file()]

    def data(self, root: Path) -> list[Mapping[str, Any]]:
        """What a card says of the data: name, licence, use, and a hash of the content."""
        return [
            {
                "name": s.name,
                "path": s.path,
                "licence": s.licence,
                "use": s.use,
                "sha256": hashlib.sha256(s.where(root).read_bytes()).hexdigest(),
            }
            for s in self.sources
        ]


def data_root() -> Path | None:
    """The folder of public data sets, if it is told and there."""
    raw = os.environ.get("PE_RAY_DATA")
    return Path(raw) if raw and Path(raw).is_dir() else None


def names() -> list[str]:
    """Every task that can be trained."""
    from pe_ray.safety.learn import tasks

    return sorted(m.name for m in pkgutil.iter_modules(tasks.__path__))


def find(name: str) -> Task:
    """A task by its name."""
    if name not in names():
        raise UserError(f"task={name}: no such task; one of {', '.join(names())} would be right")
    task: Task = importlib.import_module(f"pe_ray.safety.learn.tasks.{name}").TASK
    return task
