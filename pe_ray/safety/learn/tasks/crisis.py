"""Danger in a message, for triage to ask about when no rule has spoken.

It learnt from sentences that were written for it, by class and form, and from everyday texts as a background. Neither
holds a text of the suites that it is measured on.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pe_ray.safety.learn.features import Recipe
from pe_ray.safety.learn.task import Examples, Fit, Source, Task
from pe_ray.safety.rules import TRIAGE_FILES

LABELS = ("danger", "sign", *TRIAGE_FILES)
"""`sign` is `danger` at a lower threshold; the rest are the classes, for whichever of the first two is said."""
DANGER, HARMLESS = (
    Source("own:crisis_danger.jsonl", "messages of danger", "Apache-2.0"),
    Source("own:crisis_harmless.jsonl", "harmless messages", "Apache-2.0"),
)
EMOTIONS = Source("labels/goemotions/train.tsv", "GoEmotions train, as background", "Apache-2.0")
STRESS = Source("standard/sad_stress/SAD_v1_mturk.csv", "SAD, crowd-written stressors, as background", "MIT")
CHAT = Source(
    "dual_persona/synthetic_persona_chat/Synthetic-Persona-Chat_valid.csv",
    "Synthetic-Persona-Chat, as background",
    "CC-BY-4.0",
)
NUM_EMOTIONS, NUM_CHATS = 9000, 250
BACKGROUND_WEIGHT = 0.3
"""Nobody has said of these texts that they are harmless; nearly all are."""
GRAVE = ("suicid", "kill", "abus", "overdos", "rape", "murder", "dead", "die", "hurt")
"""A background text with one of these is left out, since it may be none."""


def read(root: Path) -> Examples:
    """What was written for it, and the background."""
    texts, labels, weights = [], [], []
    for row in _lines(DANGER.where(root)):
        texts.append(row["text"])
        labels.append([1.0, 1.0, *(float(row["class"] == c) for c in TRIAGE_FILES)])
        weights.append(1.0)
    harmless = [(row["text"], 1.0) for row in _lines(HARMLESS.where(root))]
    ordinary = [(text, BACKGROUND_WEIGHT) for text in _background(root)]
    for text, weight in (*harmless, *ordinary):
        texts.append(text)
        labels.append([0.0] * len(LABELS))
        weights.append(weight)
    return Examples(texts, np.array(labels), texts, np.array(weights))


def _background(root: Path) -> Iterator[str]:
    emotions = [line.split("\t")[0] for line in EMOTIONS.where(root).read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(emotions)
    with STRESS.where(root).open(encoding="utf-8", newline="") as file:
        stress = [row["sentence"] for row in csv.DictReader(file)]
    with CHAT.where(root).open(encoding="utf-8", newline="") as file:
        chats = list(csv.DictReader(file))[:NUM_CHATS]
    said = [line.partition(": ")[2] for row in chats for line in row["Best Generated Conversation"].splitlines()]
    for text in dict.fromkeys((*emotions[:NUM_EMOTIONS], *stress, *said)):
        if len(text) > 8 and not any(word in text.lower() for word in GRAVE):
            yield text


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


TASK = Task(
    name="crisis",
    version=1,
    purpose="Whether a short English message may speak of a danger to somebody, and of which class; a question to ask, "
    "never a level above 2.",
    labels=LABELS,
    recipe=Recipe(view="signs", words=3, skips=True, letters=(3, 5)),
    sources=(DANGER, HARMLESS, EMOTIONS, STRESS, CHAT),
    split="Everything here is training data. Weights are fitted on all of it; calibration and thresholds come from "
    "five folds over distinct texts. It is measured on the suites of pe_ray/evaluate, of which it has seen no text.",
    limits=(
        "It has read some thousand sentences of one author and misses most of what is only hinted at.",
        "It reads English, one message at a time, and knows no irony, no story and no context.",
        "It finds words that resemble those of danger. A message that it passes is not safe.",
        "No clinician has looked at its sentences, its labels or its errors.",
    ),
    read=read,
    fit=Fit(strength=4.0, balanced=False, folds=5, keep=60_000, false_alarm=(0.01, 0.05)),
    min_words=2,
)
