"""Does an answer belong to its question? Three figures of two bags of stems, and a head that weighs them.

    pairs = Pairs.load()
    pairs.score(["I cannot sleep at night."], ["Keep the bedroom dark, and sleep will come."])[0].probability

- words: the cosine of the two bags, each stem by how rare it is;
- usual: the cosine of the answer with the mean of the questions that the model was taught with, since an answer that is
  like all questions is like any one of them by chance;
- latent: the cosine in a space of few dimensions, in which words that are used together lie together.

A bag comes as flat columns, so that a whole batch costs a few sparse sums. Weights are whole numbers: sums of them do
not depend on their order, so a pair gets the same score alone as in any batch.

Legend: N pairs, E entries of all bags, V known stems, L stems with a place in the latent space, D its dimensions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_ray.safety.learn.head import Floats
from pe_ray.safety.learn.model import Model, ModelFileError, load
from pe_ray.safety.stems import FUNCTION_WORDS, stem, words

TASK = "pair"
FEATURES = ("words", "usual", "latent")
STEP = 256
"""Weights of stems are counted in parts of so many."""
LEAST_STEMS, LEAST_KNOWN = 3, 0.4
"""With fewer stems on a side, or a smaller share of them known, nothing can be said."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Bags:
    """N bags as columns, entries of one bag together: whose it is, which stem, its place among the known, its weight.

    `stem_E` may be any numbers, as long as both sides of a pair agree on them; `place_E` is -1 for an unknown stem;
    `weight_E` is whole.
    """

    num: int
    text_E: Ints
    stem_E: Ints
    place_E: Ints
    weight_E: Floats


@dataclass(frozen=True)
class Scores:
    """What was found in N pairs; `probability_N` is NaN where nothing can be said."""

    probability_N: Floats
    feature_NF: Floats = field(repr=False)
    shared_N: Ints = field(repr=False)


@dataclass(frozen=True)
class Space:
    """What is known of each stem: how rare it is, how usual in questions, and where it lies."""

    names: tuple[str, ...] = field(repr=False)
    idf_V: Floats = field(repr=False)
    usual_V: Floats = field(repr=False)
    """Mean of the questions' unit vectors, in whole parts of `usual_scale`."""
    usual_scale: float
    latent_LD: Floats = field(repr=False)
    """Whole numbers; the first L stems have a place."""
    middle_D: Floats = field(repr=False)
    """Mean of the questions' unit vectors in the latent space, which is taken away from either side."""
    unknown_idf: float

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Space:
        """From a model's tensors; raises KeyError or ValueError where they do not fit together."""
        names = tuple(bytes(tensors["names"]).decode("utf-8").split("\n"))
        scale, unknown = (float(x) for x in tensors["scalars"])
        latent_LD = tensors["latent"].astype(np.float64)
        space = cls(
            names,
            tensors["idf"].astype(np.float64),
            tensors["usual"].astype(np.float64),
            scale,
            latent_LD,
            tensors["middle"].astype(np.float64),
            unknown,
        )
        if not len(names) == len(space.idf_V) == len(space.usual_V) >= len(latent_LD):
            raise ValueError(f"{len(names)} stems do not fit the space")
        if latent_LD.shape[1:] != space.middle_D.shape:
            raise ValueError(f"{latent_LD.shape[1:]} dimensions do not fit the space")
        return space

    def tensors(self) -> dict[str, NDArray[Any]]:
        """As a model keeps them."""
        return {
            "names": np.frombuffer("\n".join(self.names).encode("utf-8"), np.uint8),
            "idf": self.idf_V.astype(np.float16),
            "usual": self.usual_V.astype(np.int16),
            "scalars": np.array([self.usual_scale, self.unknown_idf]),
            "latent": self.latent_LD.astype(np.int16),
            "middle": self.middle_D.astype(np.float32),
        }

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each known stem."""
        return {name: n for n, name in enumerate(self.names)}

    def idf(self, place_E: Ints) -> Floats:
        """(E,) how rare the stems of these places are; unknown ones have -1."""
        return np.where(place_E >= 0, self.idf_V[place_E], self.unknown_idf)

    def read(self, texts: Sequence[str], seen: dict[str, int]) -> Bags:
        """The bags of texts, plainly; `seen` numbers the stems and is shared by both sides."""
        text, found, times = [], [], []
        for n, said in enumerate(texts):
            for name, count in _content(said).items():
                text.append(n)
                found.append(name)
                times.append(1 + math.log(count))
        place_E = np.array([self.places.get(name, -1) for name in found], np.int64)
        stem_E = np.array([seen.setdefault(name, len(seen)) for name in found], np.int64)
        weight_E = whole(np.array(times) * self.idf(place_E))
        return Bags(len(texts), np.array(text, np.int64), stem_E, place_E, weight_E)


@dataclass(frozen=True)
class Pairs:
    """A space and a head over the three figures."""

    space: Space
    model: Model

    @classmethod
    def load(cls, where: str | Path = TASK) -> Pairs:
        """The shipped model, or that of a folder; raises ModelFileError."""
        return cls.of(load(where))

    @classmethod
    def of(cls, model: Model) -> Pairs:
        """The pairs of a model; raises ModelFileError where it has no space of them."""
        try:
            return cls(Space.of(model.extra), model)
        except (KeyError, ValueError) as error:
            raise ModelFileError(f"model={model.name}: {type(error).__name__} {error}: no space of pairs") from None

    def score(self, questions: Sequence[str], answers: Sequence[str]) -> Scores:
        """Scores of texts, for a few of them; a corpus brings its own bags."""
        seen: dict[str, int] = {}
        return self.of_bags(self.space.read(questions, seen), self.space.read(answers, seen))

    def of_bags(self, asked: Bags, answered: Bags) -> Scores:
        """Scores of pairs, one bag on each side."""
        feature_NF, shared_N = features(self.space, asked, answered)
        probability_N = self.model.head.calibration(logits(self.model, feature_NF)[:, None])[:, 0]
        probability_N[~(_telling(asked) & _telling(answered))] = np.nan
        return Scores(probability_N, feature_NF, shared_N)


def features(space: Space, asked: Bags, answered: Bags) -> tuple[Floats, Ints]:
    """(N, 3) the figures of each pair, and (N,) how many stems both sides have."""
    num = asked.num
    dot_N, shared_N = _shared(asked, answered)
    length_N = np.sqrt(np.maximum(_squares(asked) * _squares(answered), 1.0))
    known = answered.place_E >= 0
    usual_N = np.bincount(
        answered.text_E[known], answered.weight_E[known] * space.usual_V[answered.place_E[known]], num
    )
    usual_N = usual_N * space.usual_scale / np.sqrt(np.maximum(_squares(answered), 1.0))
    latent_N = (_latent(space, asked) * _latent(space, answered)).sum(axis=1)
    return np.stack([dot_N / length_N, usual_N, latent_N], axis=1), shared_N


def logits(model: Model, feature_NF: Floats) -> Floats:
    """(N,) the head's sums, column by column: a product of matrices may round otherwise in another batch."""
    weight_F = model.head.weight_RH[:, 0].astype(np.float64)
    total_N = np.full(len(feature_NF), float(model.head.bias_H[0]))
    for column, weight in zip(feature_NF.T, weight_F, strict=True):
        total_N = total_N + column * weight
    return total_N


def whole(weight_E: Floats) -> Floats:
    """Weights in whole parts, so that sums of their products are exact."""
    return np.rint(weight_E * STEP)


def _shared(asked: Bags, answered: Bags) -> tuple[Floats, Ints]:
    """(N,) the sums over stems that both bags have, and how many these are."""
    keys, others = asked.text_E << 32 | asked.stem_E, answered.text_E << 32 | answered.stem_E
    order = np.argsort(others, kind="stable")  # cheap where they are in order already
    ordered = others[order]
    place = np.minimum(np.searchsorted(ordered, keys), max(len(ordered) - 1, 0))
    both = ordered[place] == keys if len(ordered) else np.zeros(len(keys), np.bool_)
    text, product = asked.text_E[both], asked.weight_E[both] * answered.weight_E[order[place[both]]]
    return np.bincount(text, product, asked.num).astype(float), np.bincount(text, minlength=asked.num)


def _squares(bags: Bags) -> Floats:
    found: Floats = np.bincount(bags.text_E, bags.weight_E * bags.weight_E, bags.num)
    return found


def _latent(space: Space, bags: Bags) -> Floats:
    """(N, D) unit vectors around the middle; zero where no stem has a place."""
    from scipy.sparse import csr_matrix

    placed = (bags.place_E >= 0) & (bags.place_E < len(space.latent_LD))
    starts = np.concatenate([[0], np.cumsum(np.bincount(bags.text_E[placed], minlength=bags.num))])
    parts = (bags.weight_E[placed], bags.place_E[placed], starts)
    total_ND = csr_matrix(parts, shape=(bags.num, len(space.latent_LD))) @ space.latent_LD
    lost_N = starts[1:] == starts[:-1]
    unit_ND = _unit(_unit(total_ND) - space.middle_D)
    unit_ND[lost_N] = 0.0
    return unit_ND


def _unit(x_ND: Floats) -> Floats:
    found: Floats = x_ND / (np.sqrt((x_ND * x_ND).sum(axis=1, keepdims=True)) + 1e-9)
    return found


def _telling(bags: Bags) -> NDArray[np.bool_]:
    """Whether a bag has enough stems, and knows enough of them; other languages are not known."""
    size_N = np.bincount(bags.text_E, minlength=bags.num)
    known_N = np.bincount(bags.text_E[bags.place_E >= 0], minlength=bags.num)
    telling: NDArray[np.bool_] = (size_N >= LEAST_STEMS) & (known_N >= LEAST_KNOWN * size_N)
    return telling


def _content(text: str) -> Counter[str]:
    """The stems of a text that say something, and how often each stands there."""
    return Counter(stem(w) for w in words(text) if len(w) > 1 and w not in FUNCTION_WORDS)
