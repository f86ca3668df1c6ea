"""A task small enough to be trained in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pe_ray.safety.learn.features import Recipe
from pe_ray.safety.learn.figures import auc, row
from pe_ray.safety.learn.model import Model
from pe_ray.safety.learn.task import Examples, Fit, Task

WARM = ["thank you so much", "what a lovely day it is", "I am glad that you came", "this was a kind thing to do"]
COLD = ["leave me alone at once", "this is an awful place", "I hate the whole thing", "what a terrible idea it was"]
ENDS = ["", " my friend", " again", " today", " said the man", " in the end", " of course", " for once", " to be sure"]


def examples() -> Examples:
    texts = [f"{start}{end}" for start in (*WARM, *COLD) for end in ENDS]
    label = np.array([[1.0, 0.0]] * (len(WARM) * len(ENDS)) + [[0.0, 1.0]] * (len(COLD) * len(ENDS)))
    return Examples(texts, label, texts)


def figures(model: Model, root: Path) -> list[dict]:
    found = examples()
    value = auc(model.probabilities(found.texts)[:, 0], found.label_NL[:, 0])
    return [row("tiny.auc", value, {"set": "tiny", "split": "none"}, len(found.texts), bound=0.9)]


TINY = Task(
    name="tiny",
    version=3,
    purpose="Warm or cold.",
    labels=("warm", "cold"),
    recipe=Recipe(bits=14, letters=(2, 4)),
    sources=(),
    split="none",
    limits=("It knows eight sentences.",),
    read=lambda root: examples(),
    figures=figures,
    fit=Fit(folds=3, keep=2_000, strength=10.0),
)
