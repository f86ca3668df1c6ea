"""Are wrong answers and answers to anything rejected, and what does it cost in right ones?

    for row in rows(): print(row["name"], row["value"], row["interval"])

Wrong answers are measured on the questions of CounselChat that no model saw, by kind, at 90 and 95 % of true pairs
kept. Answers to anything are measured on a suite of our own (`suites/generic.jsonl`): one author wrote it, before he
read the check, and gave each question a specific answer and a generic one. The score has since been given another form
that they chose: it is a development set.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np

from pe_ray.corpus.quality import generic
from pe_ray.record import Message, Record
from pe_ray.safety.learn import figures, load
from pe_ray.safety.learn.counselchat import FIRST, LABELS
from pe_ray.safety.learn.task import data_root
from pe_ray.safety.learn.tasks import pair

BASELINES = {
    "mismatch.rejected_random": 0.75,
    "mismatch.rejected_same_topic": 0.61,
    "mismatch.rejected_nearest": 0.44,
    "mismatch.rejected_random_at_95": 0.47,
    "mismatch.rejected_same_topic_at_95": 0.35,
    "mismatch.rejected_nearest_at_95": 0.25,
}
"""TF-IDF, LSA and a linear model by cross-validation over questions of the same set."""
KEPT = 0.9
SUITE = {
    "set": "suites/generic.jsonl",
    "split": "one author; the form of the score was chosen by it, its threshold by CounselChat",
}


def rows() -> list[dict[str, Any]]:
    """Every figure of pairs, and of generic answers."""
    return [*mismatch(), *generic_answers()]


def mismatch() -> list[dict[str, Any]]:
    """Rejected by kind against the baselines; rows without a value where the data is not there."""
    root = data_root()
    if root is None or not all(source.where(root).is_file() for source in (FIRST, LABELS)):
        told = {"set": "CounselChat, held-out questions", "split": ""}
        reason = f"PE_RAY_DATA holds no {LABELS.path}"
        return [figures.row(name, None, told, 0, unit="share", bound=b, reason=reason) for name, b in BASELINES.items()]
    return [_bounded(found) for found in pair.figures(load("pair"), root)]


def generic_answers() -> list[dict[str, Any]]:
    """Generic answers rejected when 90 % of specific ones are kept, and at the threshold that ships."""
    told = suite()
    score_N = np.array([_score(row) for row in told])
    specific_N = np.array([row["label"] == "specific" for row in told])
    threshold = float(np.quantile(score_N[specific_N], 1 - KEPT))
    found = [_share("generic.rejected", score_N[~specific_N] < threshold)]
    found.append(_share("generic.rejected_at_threshold", score_N[~specific_N] < generic.DEFAULT_MIN))
    found.append(_share("generic.kept_at_threshold", score_N[specific_N] >= generic.DEFAULT_MIN))
    return found


def suite() -> list[dict[str, str]]:
    """Rows with question, answer and label."""
    text = (files("pe_ray.evaluate") / "suites" / "generic.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _share(name: str, hits: Any) -> dict[str, Any]:
    interval = figures.wilson(int(hits.sum()), len(hits))
    return figures.row(name, float(hits.mean()), SUITE, len(hits), unit="share", interval=interval)


def _bounded(found: dict[str, Any]) -> dict[str, Any]:
    bound = BASELINES.get(found["name"])
    return found if bound is None else found | {"bound": bound, "ok": found["value"] > bound}


def _score(row: dict[str, str]) -> float:
    messages = [Message("user", row["question"]), Message("assistant", row["answer"])]
    record = Record.create(
        source="standard",
        domain="general_therapeutic",
        content_type="qa",
        messages=messages,
        uri="generic.jsonl",
        offset=1,
        licence="Apache-2.0",
        attribution="",
        metadata={},
    )
    return generic.check(record).score
