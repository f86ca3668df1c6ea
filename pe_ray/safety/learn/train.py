"""How a small model is trained: hashed features, a logistic regression for each label, calibration, pruning, figures.

    train("emotion", Path("models/emotion"))

The same data gives the same bytes on the same machine. Nothing that a figure is measured on is looked at before the
head is final: calibration and thresholds come from folds of the training part. scikit-learn is imported inside.

Legend: N texts, F features, L labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pe_ray.errors import UserError
from pe_ray.safety.learn.features import Bag, Reader
from pe_ray.safety.learn.head import Calibration, Floats, Head, quantised, sigmoid
from pe_ray.safety.learn.model import Model, save
from pe_ray.safety.learn.task import OWN, PACKAGE, Examples, Fit, Task, data_root, find

Say = Callable[[str], None]
LEAST_POSITIVE = 2
"""A label with fewer positives in the training part cannot be learnt."""


@dataclass(frozen=True)
class Linear:
    """What a logistic regression learnt for each label."""

    weight_FL: Floats
    bias_L: Floats


def train(
    task: str | Task, out: Path, root: Path | None = None, say: Say = lambda _: None, encoder: Path | None = None
) -> Model:
    """Train a task's model, measure it, and write it to `out`. Raises UserError where its data is not there.

    With an encoder, the folder of a Transformer, a head over its vectors is trained and not one over hashed features.
    """
    told = find(task) if isinstance(task, str) else task
    where = located(told, root)
    say(f"{told.name}: reading")
    examples = told.read(where)
    say(f"{told.name}: {len(examples.texts)} texts, {len(told.labels)} labels")
    card = card_of(told, where, examples)
    if encoder:
        model = _over_encoder(examples, told, encoder, card)
    elif told.fitted:
        model = told.fitted(where, card, say)
    else:
        model = Model(fit_head(examples, told, say), card, told.recipe, told.min_words, told.band)
    if told.figures and not encoder:
        say(f"{told.name}: measuring")
        model = replace(model, card={**model.card, "figures": told.figures(model, where)})
    save(out, model)
    return model


def located(task: Task, root: Path | None = None) -> Path:
    """The folder of public data, if it holds what the task needs."""
    where = root or data_root()
    if where is None and all(s.path.startswith((OWN, PACKAGE)) for s in task.sources):
        return Path()
    if where is None:
        raise UserError(f"PE_RAY_DATA is not set: the folder that holds {task.sources[0].path} would be right")
    missing = task.missing(where)
    if missing:
        raise UserError(f"PE_RAY_DATA={where}: {', '.join(missing)} is not there, and {task.name} is trained on it")
    return where


def card_of(task: Task, root: Path, examples: Examples) -> dict[str, Any]:
    """What can be said of a model before it is measured."""
    positive = np.nansum(examples.label_NL == 1, axis=0).tolist()
    return {
        "task": task.name,
        "version": task.version,
        "purpose": task.purpose,
        "data": task.data(root),
        "split": task.split,
        "texts": len(examples.texts),
        "positive": dict(zip(task.labels, positive, strict=True)),
        "fit": vars(task.fit),
        "limits": list(task.limits),
        "figures": [],
    }


def fit_head(examples: Examples, task: Task, say: Say = lambda _: None) -> Head:
    """A calibrated head over hashed features, as it will be saved."""
    reader = Reader(task.recipe)
    matrix = matrix_of(reader.bag(examples.texts), 1 << task.recipe.bits)
    scale_F = np.where(reader.marked(), 1.0, task.fit.word_weight)
    fold_N = examples.fold(task.fit.folds)
    logit_NL = np.zeros(examples.label_NL.shape)
    for fold in range(task.fit.folds):
        say(f"{task.name}: fold {fold + 1} of {task.fit.folds}")
        inside = fold_N != fold
        head = _fitted(matrix[inside], examples.take(inside), task, scale_F)
        logit_NL[~inside] = _logits(head, matrix[~inside])
    say(f"{task.name}: all of it")
    weight_N = examples.weight_N if task.fit.weigh_calibration else None
    calibration = calibrate(logit_NL, examples.label_NL, task.fit.calibration, weight_N)
    threshold_L = thresholds(calibration(logit_NL), examples.label_NL, task.fit.aim, weight_N)
    threshold_L = rare(calibration(logit_NL), examples, task.fit.false_alarm, threshold_L)
    head = _fitted(matrix, examples, task, scale_F)
    return quantised(replace(head, calibration=calibration, threshold_L=threshold_L))


def _over_encoder(examples: Examples, task: Task, folder: Path, card: dict[str, Any]) -> Model:
    from pe_ray.safety.learn.encoder import Encoder

    vector_ND = Encoder(folder).embed(examples.texts)
    head = dense_head(vector_ND, examples.label_NL, task.labels, list(examples.groups), task.fit)
    limits = [*card["limits"], "It reads the vectors of one encoder, and no figure was measured with it."]
    return Model(head, {**card, "encoder": folder.name, "limits": limits}, None, task.min_words, task.band)


def fit_linear(
    x_NF: Any, label_NL: Floats, *, strength: float = 1.0, balanced: bool = True, weight_N: Floats | None = None
) -> Linear:
    """A logistic regression for each label over dense or sparse features; a label that is NaN has no say.

    `label_NL` may be (N,) for one label.
    """
    from sklearn.linear_model import LogisticRegression

    label_NL = np.asarray(label_NL, float).reshape(len(label_NL), -1)
    weight_FL, bias_L = np.zeros((x_NF.shape[1], label_NL.shape[1])), np.zeros(label_NL.shape[1])
    for column, label_N in enumerate(label_NL.T):
        known = ~np.isnan(label_N)
        positive = int((label_N[known] == 1).sum())
        if min(positive, known.sum() - positive) < LEAST_POSITIVE:
            bias_L[column] = -4.0 if positive < LEAST_POSITIVE else 4.0
            continue
        regression = LogisticRegression(
            C=strength,
            solver="liblinear",
            dual=_is_sparse(x_NF),  # coordinate descent is several times as fast where rows have few features
            class_weight="balanced" if balanced else None,
            random_state=0,
            max_iter=300,
            tol=1e-2,
            intercept_scaling=4.0,
        )
        regression.fit(x_NF[known], label_N[known] == 1, None if weight_N is None else weight_N[known])
        weight_FL[:, column], bias_L[column] = regression.coef_[0], regression.intercept_[0]
    return Linear(weight_FL, bias_L)


def dense_head(
    x_NF: Floats, label_NL: Floats, labels: tuple[str, ...], groups: list[str], fit: Fit | None = None
) -> Head:
    """A calibrated head over dense features that the caller computes, for `Model(head, card)`; split by group."""
    told = fit or Fit()
    x_NF, label_NL = np.asarray(x_NF, float), np.asarray(label_NL, float).reshape(len(label_NL), -1)
    fold_N = Examples(["" for _ in groups], label_NL, groups).fold(told.folds)
    middle_F, spread_F = x_NF.mean(axis=0), np.maximum(x_NF.std(axis=0), 1e-6)
    logit_NL = np.zeros(label_NL.shape)
    for fold in range(told.folds):
        inside = fold_N != fold
        if inside.all():
            continue
        head = _dense(x_NF[inside], label_NL[inside], labels, told, middle_F, spread_F)
        logit_NL[~inside] = head.of_dense(x_NF[~inside])
    calibration = calibrate(logit_NL, label_NL, told.calibration)
    threshold_L = thresholds(calibration(logit_NL), label_NL, told.aim)
    head = _dense(x_NF, label_NL, labels, told, middle_F, spread_F)
    return quantised(replace(head, calibration=calibration, threshold_L=threshold_L))


def _dense(x: Floats, y: Floats, labels: tuple[str, ...], fit: Fit, middle_F: Floats, spread_F: Floats) -> Head:
    found = fit_linear((x - middle_F) / spread_F, y, strength=fit.strength, balanced=fit.balanced)
    weight_FL = found.weight_FL / spread_F[:, None]
    return Head(labels, weight_FL, found.bias_L - middle_F @ weight_FL)


def calibrate(logit_NL: Floats, label_NL: Floats, how: str = "platt", weight_N: Floats | None = None) -> Calibration:
    """What each label's logits are worth, from texts that their model has not seen."""
    weight_N = np.ones(len(logit_NL)) if weight_N is None else weight_N
    known = [~np.isnan(y) for y in label_NL.T]
    told = [(z[k], y[k], weight_N[k]) for z, y, k in zip(logit_NL.T, label_NL.T, known, strict=True)]
    if how == "isotonic":
        knots = [_isotonic(*one) for one in told]
        return Calibration(None, np.stack([x for x, _ in knots]), np.stack([y for _, y in knots]))
    return Calibration(line_L2=np.array([_platt(*one) for one in told]))


def _platt(logit_N: Floats, label_N: Floats, weight_N: Floats) -> tuple[float, float]:
    """Slope and offset by Newton's method, with Platt's softened targets (Platt 1999; Lin, Lin and Weng 2007)."""
    positive = float(weight_N[label_N == 1].sum())
    negative = float(weight_N.sum()) - positive
    target_N = np.where(label_N == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    x_N2 = np.stack([logit_N, np.ones_like(logit_N)], axis=1)
    line = np.array([1.0, np.log((positive + 1) / (negative + 1))])
    for _ in range(100):
        p_N = sigmoid(x_N2 @ line)
        hessian = (x_N2 * (weight_N * p_N * (1 - p_N))[:, None]).T @ x_N2 + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, x_N2.T @ (weight_N * (p_N - target_N)))
        line = line - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    return max(float(line[0]), 1e-3), float(line[1])


NUM_KNOTS = 33


def _isotonic(logit_N: Floats, label_N: Floats, weight_N: Floats) -> tuple[Floats, Floats]:
    """Knots of a rising table: isotonic regression read at even shares of the texts."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-4, out_of_bounds="clip").fit(logit_N, label_N == 1, weight_N)
    x_K = np.quantile(logit_N, np.linspace(0, 1, NUM_KNOTS))
    x_K = np.maximum.accumulate(x_K) + np.arange(NUM_KNOTS) * 1e-9
    return x_K, np.maximum.accumulate(fitted.predict(x_K))


def thresholds(
    probability_NL: Floats, label_NL: Floats, aim: float | str = "f1", weight_N: Floats | None = None
) -> Floats:
    """For each label, the probability from which it is said: best F1, best balanced accuracy, or a kept recall."""
    weight_N = np.ones(len(probability_NL)) if weight_N is None else weight_N
    return np.array([_threshold(p, y, weight_N, aim) for p, y in zip(probability_NL.T, label_NL.T, strict=True)])


def _threshold(p_N: Floats, label_N: Floats, weight_N: Floats, aim: float | str) -> float:
    known = ~np.isnan(label_N)
    p_N, yes_N, weight_N = p_N[known], label_N[known] == 1, weight_N[known]
    order = np.argsort(-p_N, kind="stable")
    said, hits = np.cumsum(weight_N[order]), np.cumsum((weight_N * yes_N)[order])
    if not len(hits) or not hits[-1]:
        return 1.0
    if aim == "f1":
        last = int(np.argmax(2 * hits / (said + hits[-1])))
    elif aim == "balanced":
        last = int(np.argmax(hits / hits[-1] - (said - hits) / max(said[-1] - hits[-1], 1e-9)))
    else:
        last = int(np.searchsorted(hits, float(aim) * hits[-1]))
    return _between(p_N[order], min(last, len(hits) - 1))


def rare(probability_NL: Floats, examples: Examples, shares: tuple[float, ...], threshold_L: Floats) -> Floats:
    """Thresholds that take at most these shares of the texts without any label, for the first labels."""
    full_N = np.ones(len(examples.texts), bool) if examples.weight_N is None else examples.weight_N >= 1
    clear_N = full_N & (np.nan_to_num(examples.label_NL).sum(axis=1) == 0)
    taken = [float(np.quantile(probability_NL[clear_N, i], 1 - share)) for i, share in enumerate(shares)]
    return np.array([*taken, *threshold_L[len(taken) :]])


def _between(falling_N: Floats, last: int) -> float:
    """A threshold halfway between the last that is said and the next."""
    after = falling_N[last + 1] if last + 1 < len(falling_N) else 0.0
    return float((falling_N[last] + after) / 2)


def _is_sparse(x_NF: Any) -> bool:
    return not isinstance(x_NF, np.ndarray)


def matrix_of(bag: Bag, num_features: int) -> Any:
    """A bag as a sparse matrix with a column for every number that a feature may have."""
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((bag.weight, bag.feature, bag.starts), shape=(len(bag.starts) - 1, num_features))
    matrix.sum_duplicates()
    return matrix


def scaled(matrix: Any, scale_F: Floats, least_texts: int) -> tuple[Any, Any, Floats]:
    """The columns that enough texts have, weighted; which they are; and their weights, scale times idf."""
    from scipy.sparse import diags

    texts_F = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rows_F = np.flatnonzero(texts_F >= least_texts)
    weight_F = scale_F[rows_F] * (np.log((1 + matrix.shape[0]) / (1 + texts_F[rows_F])) + 1)
    return matrix[:, rows_F] @ diags(weight_F), rows_F, weight_F


def _fitted(matrix: Any, examples: Examples, task: Task, scale_F: Floats) -> Head:
    """Fit, then keep the features that add most, and no weight that adds nothing."""
    fit = task.fit
    columns, rows_F, weight_F = scaled(matrix, scale_F, fit.least_texts)
    found = fit_linear(
        columns, examples.label_NL, strength=fit.strength, balanced=fit.balanced, weight_N=examples.weight_N
    )
    weight_FL = found.weight_FL * weight_F[:, None]
    worth_F = np.abs(weight_FL).max(axis=1) * np.sqrt(np.bincount(matrix.indices, minlength=matrix.shape[1])[rows_F])
    kept = np.sort(np.argsort(-worth_F, kind="stable")[: fit.keep])
    return quantised(Head(task.labels, weight_FL[kept], found.bias_L, rows_F[kept].astype(np.uint32)))


def _logits(head: Head, matrix: Any) -> Floats:
    assert head.rows_R is not None
    return np.asarray(matrix[:, head.rows_R] @ head.weight_RH) + head.bias_H
