"""From features to probabilities: a linear layer, perhaps a second one, and what a score is worth (calibration).

    logit = x @ weight + bias                       # linear
    logit = relu(x @ weight + bias) @ out + out_bias  # with one hidden layer

Weights are kept as int8 with a scale for each column, and only the rows that matter; calibration is a line (Platt,
temperature) or a table (isotonic) for each label. All of it is numpy.

Legend: N texts, F features, R kept rows, H width of the first layer, L labels, K knots of a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_ray.safety.learn.features import Bag, Reader

Floats = NDArray[np.floating[Any]]
INT8 = 127


@dataclass(frozen=True)
class Calibration:
    """What a logit is worth: `line_L2` (slope, offset; then a sigmoid), or a table of knots for each label."""

    line_L2: Floats | None = None
    x_LK: Floats | None = None
    y_LK: Floats | None = None

    def __call__(self, logit_NL: Floats) -> Floats:
        """Probabilities in 0..1, never falling as the logit grows."""
        if self.line_L2 is not None:
            return sigmoid(logit_NL * self.line_L2[:, 0] + self.line_L2[:, 1])
        if self.x_LK is None or self.y_LK is None:
            return sigmoid(logit_NL)
        columns = [np.interp(z, x, y) for z, x, y in zip(logit_NL.T, self.x_LK, self.y_LK, strict=True)]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Head:
    """Everything between features and probabilities. Without `rows_R` the features are dense: row f is feature f."""

    labels: tuple[str, ...]
    weight_RH: Floats = field(repr=False)
    bias_H: Floats = field(repr=False)
    rows_R: NDArray[np.uint32] | None = field(default=None, repr=False)
    """Hashed features that were kept, in order."""
    out_HL: Floats | None = field(default=None, repr=False)
    out_bias_L: Floats | None = field(default=None, repr=False)
    calibration: Calibration = field(default_factory=Calibration, repr=False)
    threshold_L: Floats | None = field(default=None, repr=False)
    """Probability from which a label is said; .5 where there is none."""

    @property
    def thresholds(self) -> Floats:
        return np.full(len(self.labels), 0.5) if self.threshold_L is None else self.threshold_L

    def logits(self, hidden_NH: Floats) -> Floats:
        """From what the first layer gives, with its bias, to a logit for each label."""
        if self.out_HL is None:
            return hidden_NH
        return np.maximum(hidden_NH, 0) @ self.out_HL + self.out_bias_L

    def of_dense(self, x_NF: Floats) -> Floats:
        """(N, L) logits of dense features."""
        assert self.rows_R is None, "this head reads hashed features"
        return self.logits(np.asarray(x_NF, np.float32) @ self.weight_RH + self.bias_H)

    def of_bag(self, bag: Bag) -> Floats:
        """(N, L) logits of hashed features, slowly and without a memory; `Sparse` gives the same fast."""
        assert self.rows_R is not None, "this head reads dense features"
        place = np.minimum(np.searchsorted(self.rows_R, bag.feature), max(len(self.rows_R) - 1, 0))
        known = self.rows_R[place] == bag.feature if len(self.rows_R) else np.zeros(len(place), np.bool_)
        text = np.repeat(np.arange(len(bag.starts) - 1), np.diff(bag.starts))[known]
        hidden_NH = np.zeros((len(bag.starts) - 1, len(self.bias_H)))
        np.add.at(hidden_NH, text, self.weight_RH[place[known]] * bag.weight[known, None])
        return self.logits(hidden_NH + self.bias_H)


class Sparse:
    """A head over hashed features that remembers what each token adds, so that a text costs a sum over its tokens."""

    def __init__(self, head: Head, reader: Reader) -> None:
        assert head.rows_R is not None
        self.head, self.reader = head, reader
        width = len(head.bias_H)
        self.place = np.full(1 << reader.recipe.bits, len(head.rows_R), np.int32)
        self.place[head.rows_R] = np.arange(len(head.rows_R), dtype=np.int32)
        self.weight = np.concatenate([head.weight_RH, np.zeros((1, width))]).astype(np.float32)
        self.epoch, self.token_VH = reader.epoch, np.zeros((0, width), np.float32)

    def logits(self, texts: Sequence[str]) -> Floats:
        """(N, L) for texts of any kind; one without a feature has the bias alone."""
        read = self.reader.read(texts)
        if self.epoch != self.reader.epoch:
            self.epoch, self.token_VH = self.reader.epoch, self.token_VH[:0]
        if new := self.reader.spend(len(self.token_VH)):
            self.token_VH = np.concatenate([self.token_VH, self._sums(new)])
        hidden_NH = np.zeros((read.num, len(self.head.bias_H)), np.float32)
        _add(hidden_NH, read.text_T, self.token_VH[read.token_T])
        for row_R, owner_R in read.rows:
            place_R = self.place[row_R]
            known = place_R < len(self.weight) - 1
            _add(hidden_NH, owner_R[known], self.weight[place_R[known]])
        hidden_NH /= np.sqrt(read.size_N)[:, None].astype(np.float32)
        return self.head.logits(hidden_NH + self.head.bias_H.astype(np.float32))

    def _sums(self, own: Sequence[NDArray[np.int64]]) -> Floats:
        starts = np.cumsum([0, *map(len, own)])[:-1]
        return np.add.reduceat(self.weight[self.place[np.concatenate(own)]], starts)


def _add(total_NH: Floats, owner_T: NDArray[np.int64], rows_TH: Floats) -> None:
    """Add rows, in order of their owners, to the owners' totals."""
    if len(owner_T):
        first = np.flatnonzero(np.diff(owner_T, prepend=-1))
        total_NH[owner_T[first]] += np.add.reduceat(rows_TH, first)


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(z, np.float64)))


def pack(head: Head) -> dict[str, NDArray[Any]]:
    """The tensors of a head, weights as int8 with a scale for each column."""
    weight, scale = _quantised(head.weight_RH)
    body: dict[str, NDArray[Any] | None] = {
        "weight": weight,
        "weight.scale": scale,
        "bias": head.bias_H.astype(np.float32),
        "rows": head.rows_R,
        "out": None if head.out_HL is None else head.out_HL.astype(np.float32),
        "out.bias": None if head.out_bias_L is None else head.out_bias_L.astype(np.float32),
        "calibration.line": head.calibration.line_L2,
        "calibration.x": head.calibration.x_LK,
        "calibration.y": head.calibration.y_LK,
        "threshold": head.thresholds.astype(np.float64),
    }
    return {name: np.ascontiguousarray(tensor) for name, tensor in body.items() if tensor is not None}


def unpack(labels: Sequence[str], body: Mapping[str, NDArray[Any]]) -> Head:
    """A head from its tensors; raises KeyError or ValueError where they do not fit together."""
    weight = body["weight"].astype(np.float32) * body["weight.scale"]
    head = Head(
        labels=tuple(labels),
        weight_RH=weight,
        bias_H=body["bias"],
        rows_R=body.get("rows"),
        out_HL=body.get("out"),
        out_bias_L=body.get("out.bias"),
        calibration=Calibration(body.get("calibration.line"), body.get("calibration.x"), body.get("calibration.y")),
        threshold_L=body["threshold"],
    )
    width = len(labels) if head.out_HL is None else len(head.out_HL)
    last = head.bias_H if head.out_HL is None else head.out_bias_L
    fits = weight.shape[1:] == (width,) == head.bias_H.shape and last is not None and len(last) == len(labels)
    rows = head.rows_R is None or len(head.rows_R) == len(weight)
    if not (fits and rows and len(head.thresholds) == len(labels)):
        raise ValueError(f"{len(labels)} labels do not fit weights of shape {weight.shape}")
    return head


def quantised(head: Head) -> Head:
    """The head as it will be once it was saved and loaded, so that figures are those of what ships."""
    return unpack(head.labels, pack(head))


def _quantised(weight_RH: Floats) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    scale_H = (np.abs(weight_RH).max(axis=0, initial=0.0) / INT8).astype(np.float32)
    scale_H[scale_H == 0] = 1.0
    return np.rint(weight_RH / scale_H).clip(-INT8, INT8).astype(np.int8), scale_H
