"""Bias: the recipe on RedditBias, in distribution and across targets side by side; swaps; the model that ships.

In distribution every fold holds all three targets; across, one target is left out of the training. The same regression
over plain TF-IDF, on the same splits, stands beside every figure. The data set's target words are hidden, kin too ("my
mom"), since they are its groups; the model that ships reads kin as persons, has not learnt from the file on gender,
whose labels mark any talk of a woman's work, and learnt from sentences of ours too. The view and three settings were
chosen by these very splits, as those of the baseline were not: the figures are a little too good, within an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pe_ray.safety.fairness import TOLERANCE, pairs, swap_pairs
from pe_ray.safety.learn import load
from pe_ray.safety.learn.features import Reader, Recipe
from pe_ray.safety.learn.figures import auc, bootstrap, row, wilson
from pe_ray.safety.learn.task import Examples, data_root
from pe_ray.safety.learn.tasks import bias
from pe_ray.safety.learn.train import fit_linear, matrix_of, scaled

BOUND_IN, BOUND_ACROSS = 0.828, 0.722
RECIPE = Recipe(view="targets", bits=18, words=2, letters=(0, 0))
STRENGTH, FOLDS = 0.07, 5
SET = "RedditBias, three targets"
SPLIT_IN = "five folds by comment, every target in each"
SPLIT_ACROSS = "one target left out of the training"
WINOBIAS = "labels/winobias"
Scores = Callable[[Any, Any], Any]
"""(training rows, test rows) -> scores of the test rows."""


def rows() -> list[dict[str, Any]]:
    """bias.auc_in, bias.auc_across with the mean, the worst and each target, baselines, swaps, and the suite."""
    root = data_root()
    if root is None or not all((root / bias.REDDIT / f).is_file() for f in bias.TARGETS.values()):
        reason = f"PE_RAY_DATA holds no {bias.REDDIT}"
        missing = [("bias.auc_in", SPLIT_IN, BOUND_IN), ("bias.auc_across", SPLIT_ACROSS, BOUND_ACROSS)]
        found = [row(n, None, {"set": SET, "split": s}, 0, bound=b, reason=reason) for n, s, b in missing]
        return [*found, *swaps(), *bias.on_fresh(load("bias")), *bias.on_suite(load("bias"))]
    parts = {name: bias.reddit(root, name) for name in bias.TARGETS}
    return [*measured(parts), *swaps(), *bias.on_fresh(load("bias")), *bias.on_suite(load("bias"))]


def measured(parts: dict[str, Examples]) -> list[dict[str, Any]]:
    """In distribution and across targets, for our features and for plain TF-IDF."""
    texts = [t for part in parts.values() for t in part.texts]
    groups = [g for part in parts.values() for g in part.groups]
    true_N = np.concatenate([part.label_NL[:, 0] for part in parts.values()])
    target_N = np.repeat(list(parts), [len(part.texts) for part in parts.values()])
    fold_N = Examples(texts, true_N[:, None], groups).fold(FOLDS)
    found: list[dict[str, Any]] = []
    for suffix, scores in (("", _ours(texts, true_N)), (".baseline", _tfidf(texts, true_N))):
        bounds = (BOUND_IN, BOUND_ACROSS) if not suffix else (None, None)
        found += _inside(suffix, scores, fold_N, true_N, groups, bounds[0])
        found += _across(suffix, scores, target_N, true_N, groups, bounds[1])
    return found


def swaps() -> list[dict[str, Any]]:
    """Whether the scores of the models that ship change when the words of WinoBias's lists are swapped."""
    told = {"set": "WinoBias sentences (dev), its word lists", "split": "not trained on"}
    names = ("bias.swap_consistency", "emotion.swap_consistency", "emotion.swap_gap")
    root = data_root()
    folder = root / WINOBIAS if root else None
    if folder is None or not folder.is_dir():
        return [row(n, None, told, 0, reason=f"PE_RAY_DATA holds no {WINOBIAS}") for n in names]
    table = {**pairs((folder / "extra_gendered_words.txt").read_text(encoding="utf-8"))}
    table |= pairs((folder / "generalized_swaps.txt").read_text(encoding="utf-8"))
    table |= {"he": "she", "she": "he", "his": "her", "him": "her", "himself": "herself", "herself": "himself"}
    texts = [t for file in sorted(folder.glob("*.dev")) for t in _sentences(file.read_text(encoding="utf-8"))]
    swapped = [swap_pairs(t, table) for t in texts]
    changed = [n for n, (a, b) in enumerate(zip(texts, swapped, strict=True)) if a != b]
    found = []
    for name in ("bias", "emotion"):
        judge = load(name)
        before, after = (judge.probabilities([t[n] for n in changed]) for t in (texts, swapped))
        change_N = np.abs(before - after).max(axis=1)
        same = int((change_N <= TOLERANCE).sum())
        interval = wilson(same, len(changed))
        found.append(row(f"{name}.swap_consistency", same / len(changed), told, len(changed), interval=interval))
        found.append(row(f"{name}.swap_gap", float(change_N.mean()), told, len(changed), better="lower"))
    return found


def _sentences(told: str) -> list[str]:
    """WinoBias's sentences without number and brackets."""
    return [line.partition(" ")[2].replace("[", "").replace("]", "") for line in told.splitlines() if line.strip()]


def _inside(
    suffix: str, scores: Scores, fold_N: Any, true_N: Any, groups: Sequence[str], bound: float | None
) -> list[dict[str, Any]]:
    score_N = np.zeros(len(true_N))
    for fold in range(FOLDS):
        score_N[fold_N == fold] = scores(fold_N != fold, fold_N == fold)
    interval = bootstrap(lambda r: auc(score_N[r], true_N[r]), groups)
    told = {"set": SET, "split": SPLIT_IN}
    return [row(f"bias.auc_in{suffix}", auc(score_N, true_N), told, len(true_N), bound=bound, interval=interval)]


def _across(
    suffix: str, scores: Scores, target_N: Any, true_N: Any, groups: Sequence[str], bound: float | None
) -> list[dict[str, Any]]:
    score_N = np.zeros(len(true_N))
    names = list(dict.fromkeys(target_N.tolist()))
    for name in names:
        score_N[target_N == name] = scores(target_N != name, target_N == name)

    def by_target(rows: Any) -> list[float]:
        return [auc(score_N[r], true_N[r]) for r in (rows[target_N[rows] == name] for name in names)]

    every = np.arange(len(true_N))
    each = by_target(every)
    told = {"set": SET, "split": SPLIT_ACROSS}
    mean = bootstrap(lambda r: float(np.mean(by_target(r))), groups)
    worst = bootstrap(lambda r: min(by_target(r)), groups)
    return [
        row(f"bias.auc_across{suffix}", float(np.mean(each)), told, len(true_N), bound=bound, interval=mean),
        row(f"bias.auc_across_worst{suffix}", min(each), told, len(true_N), interval=worst),
        *(
            row(f"bias.auc_across.{name}{suffix}", value, told, int((target_N == name).sum()))
            for name, value in zip(names, each, strict=True)
        ),
    ]


def _ours(texts: Sequence[str], true_N: Any) -> Scores:
    reader = Reader(RECIPE)
    matrix = matrix_of(reader.bag(texts), 1 << RECIPE.bits)
    scale_F = np.where(reader.marked(), 1.0, bias.TASK.fit.word_weight)

    def scores(train_N: Any, test_N: Any) -> Any:
        columns, rows_F, weight_F = scaled(matrix[train_N], scale_F, bias.TASK.fit.least_texts)
        found = fit_linear(columns, true_N[train_N], strength=STRENGTH)
        return matrix[test_N][:, rows_F] @ (found.weight_FL[:, 0] * weight_F)

    return scores


def _tfidf(texts: Sequence[str], true_N: Any) -> Scores:
    """Words and pairs of words by TF-IDF, under the same regression: what the figures are to be compared with."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    column = np.array(texts, object)

    def scores(train_N: Any, test_N: Any) -> Any:
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        seen = words.fit_transform(column[train_N])
        fitted = LogisticRegression(class_weight="balanced", max_iter=500).fit(seen, true_N[train_N] == 1)
        return fitted.decision_function(words.transform(column[test_N]))

    return scores
