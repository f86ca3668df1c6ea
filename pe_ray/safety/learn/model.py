"""A small model as it ships: `model.safetensors`, and `card.json`, which says what it is and what it is worth.

    model = load("emotion")
    model.judge(["I am so proud of you!"])[0].labels == ("admiration", "pride")

Loading takes a few milliseconds and imports numpy alone. A damaged file, one of another version, and one without a card
are refused by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_ray.errors import UserError
from pe_ray.safety.learn.abstain import MIN_WORDS, reasons
from pe_ray.safety.learn.features import Reader, Recipe
from pe_ray.safety.learn.head import Floats, Head, Sparse, pack, unpack

FORMAT = 1
WEIGHTS, CARD = "model.safetensors", "card.json"
EXTRA = "extra."
"""Tensors whose names begin so are a task's own."""
CHUNK = 2048
"""Texts at a time, so that memory does not depend on the batch."""


class ModelFileError(UserError):
    """A model that is absent, damaged, of another version, or without a card."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Probability by label, the labels that are said; or an abstention with its reason."""

    scores: Mapping[str, float]
    """Empty where the text could not be judged at all."""
    labels: tuple[str, ...] = ()
    abstained: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Model:
    """A head, how its texts are read, and its card."""

    head: Head
    card: Mapping[str, Any] = field(repr=False)
    recipe: Recipe | None = None
    """None: the head reads dense features, which the caller brings."""
    min_words: int = MIN_WORDS
    band: tuple[float, float] | None = None
    """Where the first label's probability says too little to decide."""
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)
    """Further tensors, for a task whose features are more than a recipe tells."""
    _sparse: list[Sparse] = field(default_factory=list, repr=False, compare=False)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.head.labels

    @property
    def name(self) -> str:
        """`task@version`, for verdicts and journals."""
        return f"{self.card['task']}@{self.card['version']}"

    def logits(self, texts: Sequence[str]) -> Floats:
        """(N, L) before calibration, whether or not the texts are fit to be judged."""
        assert self.recipe is not None, "this model reads dense features: use of_dense()"
        if not self._sparse:
            self._sparse.append(Sparse(self.head, Reader(self.recipe)))
        parts = [self._sparse[0].logits(texts[i : i + CHUNK]) for i in range(0, len(texts), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)))

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(N, L) calibrated, whether or not the texts are fit to be judged."""
        return self.head.calibration(self.logits(texts))

    def judge(self, texts: Sequence[str]) -> list[Judgement]:
        """A judgement of each text, of any kind and length; raises UserError for a model that reads something else."""
        if self.recipe is None:
            raise UserError(f"model={self.name}: judges no single text; one that reads texts would be right")
        why = reasons(texts, self.min_words)
        fit = [n for n, reason in enumerate(why) if not reason]
        judged = dict(zip(fit, self.decide(self.probabilities([texts[n] for n in fit])), strict=True))
        return [judged[n] if n in judged else Judgement({}, (), True, reason) for n, reason in enumerate(why)]

    def of_dense(self, x_NF: Floats) -> Floats:
        """(N, L) calibrated, from dense features."""
        return self.head.calibration(self.head.of_dense(x_NF))

    def decide(self, probability_NL: Floats) -> list[Judgement]:
        """Judgements from probabilities: which labels are said, and where the band says nothing."""
        said_NL = probability_NL >= self.head.thresholds
        names = self.labels
        found = []
        for row, said in zip(np.round(probability_NL, 4).tolist(), said_NL, strict=True):
            labels = tuple(names[i] for i in np.flatnonzero(said))
            reason = self._undecided(row[0])
            found.append(Judgement(dict(zip(names, row, strict=True)), labels, bool(reason), reason))
        return found

    def _undecided(self, probability: float) -> str:
        if self.band is None or not self.band[0] <= probability < self.band[1]:
            return ""
        return f"{self.labels[0]} {probability:.2f} lies between {self.band[0]:g} and {self.band[1]:g}"


def save(folder: Path, model: Model) -> None:
    """Write weights, then the card, which names their hash: a folder without a card is no model."""
    from safetensors.numpy import save as serialised

    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    further = {f"{EXTRA}{name}": np.ascontiguousarray(tensor) for name, tensor in model.extra.items()}
    raw = serialised(pack(model.head) | further)
    (folder / WEIGHTS).write_bytes(raw)
    body = {
        "format": FORMAT,
        **model.card,
        "labels": list(model.labels),
        "recipe": model.recipe.as_dict() if model.recipe else None,
        "min_words": model.min_words,
        "band": list(model.band) if model.band else None,
        "weights": {"file": WEIGHTS, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()},
    }
    (folder / CARD).write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def shipped() -> Path:
    """The folder of the models that come with the package."""
    return Path(str(files("pe_ray.safety.learn") / "models"))


def names() -> list[str]:
    """The tasks of which a model is shipped."""
    return sorted(p.parent.name for p in shipped().glob(f"*/{CARD}"))


def load(where: str | Path) -> Model:
    """The shipped model of a task, or that of a folder; raises ModelFileError, which names the file and its fault."""
    folder = where if isinstance(where, Path) else shipped() / where
    if not folder.is_dir():
        raise ModelFileError(f"model={where}: no such model; shipped are {', '.join(names()) or 'none'}")
    card = read_card(folder)
    try:
        recipe = Recipe.of(card["recipe"]) if card["recipe"] else None
        band = tuple(card["band"]) if card["band"] else None
        tensors = _tensors(folder, card)
        extra = {name.removeprefix(EXTRA): t for name, t in tensors.items() if name.startswith(EXTRA)}
        head = unpack(card["labels"], tensors)
        return Model(head, card, recipe, int(card["min_words"]), band, extra)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{folder / CARD}: {type(error).__name__} {error}: does not fit its weights") from None


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model; raises ModelFileError where there is none of this version."""
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: there is no card; a model without one is not used") from None
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: {type(error).__name__}: the card cannot be read") from None
    found = card.get("format") if isinstance(card, dict) else None
    if found != FORMAT:
        raise ModelFileError(f"{path}: format={found}: this version reads {FORMAT}; train it anew")
    return dict(card)


def _tensors(folder: Path, card: Mapping[str, Any]) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialised

    path = folder / WEIGHTS
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: {type(error).__name__}: the weights cannot be read") from None
    if hashlib.sha256(raw).hexdigest() != card["weights"]["sha256"]:
        raise ModelFileError(f"{path}: damaged: it is not the file that its card names")
    try:
        return deserialised(raw)
    except SafetensorError as error:
        raise ModelFileError(f"{path}: damaged: {error}") from None
