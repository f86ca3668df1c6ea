"""Danger in a message, for triage to ask about when no rule has spoken.

It learnt from sentences that were written for it, by class and form and by several writers (`voice`), and from everyday
texts as a background. Neither holds a text of the suites that it is measured on.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from pe_ray.safety.danger import pieces
from pe_ray.safety.learn.counselchat import FIRST, SECOND, taught
from pe_ray.safety.learn.features import Recipe
from pe_ray.safety.learn.figures import row, wilson
from pe_ray.safety.learn.model import Model
from pe_ray.safety.learn.task import Examples, Fit, Source, Task
from pe_ray.safety.rules import TRIAGE_FILES

LABELS = ("danger", "sign", "grave", *TRIAGE_FILES)
"""`sign` is `danger` at a lower threshold, `grave` a danger of level 3 or more; the rest are the classes."""
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
COUNSELLING, DIALOGUES = (
    Source("package:corpus/samples/standard/counselling.jsonl", "bundled questions, as background", "Apache-2.0"),
    Source("package:corpus/samples/dual_persona/dialogues.jsonl", "bundled dialogues, as background", "Apache-2.0"),
)
NUM_EMOTIONS, NUM_CHATS = 9000, 250
BACKGROUND_WEIGHT, COUNSEL_WEIGHT = 0.3, 0.6
"""Nobody has said of these texts that they are harmless; nearly all are. What people ask a counsellor is nearest to
what is judged."""
GRAVE = 3
"""Level from which a danger is grave: active, or now."""
LEFT_OUT = ("suicid", "kill", "abus", "overdos", "rape", "murder", "dead", "die", "hurt")
"""A background text with one of these is left out, since it may be none."""


def read(root: Path) -> Examples:
    """What was written for it, and the background."""
    texts, labels, weights = [], [], []
    for line in _lines(DANGER.where(root)):
        texts.append(line["text"])
        labels.append([1.0, 1.0, float(line["level"] >= GRAVE), *(float(line["class"] == c) for c in TRIAGE_FILES)])
        weights.append(1.0)
    harmless = [(line["text"], 1.0) for line in _lines(HARMLESS.where(root))]
    ordinary = [(text, BACKGROUND_WEIGHT) for text in _background(root)]
    asked = [(text, COUNSEL_WEIGHT) for text in _asked(root)]
    for text, weight in (*harmless, *ordinary, *asked):
        texts.append(text)
        labels.append([0.0] * len(LABELS))
        weights.append(weight)
    return Examples(texts, np.array(labels), texts, np.array(weights))


def figures(model: Model, _root: Path) -> list[dict[str, Any]]:
    """The model without any rule, on the held-out half of the suites."""
    told = {"set": "suites of pe_ray/evaluate", "split": "held-out half by hash of id, the model without any rule"}
    found = []
    for suite, better in (("positive", "higher"), ("benign", "lower")):
        raw = (files("pe_ray.evaluate") / "suites" / f"crisis_{suite}.jsonl").read_text(encoding="utf-8")
        texts = [r["text"] for r in map(json.loads, raw.splitlines()) if _held_out(r["id"])]
        probability_NL = model.probabilities(texts)
        for label, threshold in zip(LABELS[:3], model.head.thresholds, strict=False):
            hits = int((probability_NL[:, LABELS.index(label)] >= threshold).sum())
            name = f"crisis.model.{'recall' if better == 'higher' else 'false_alarm'}.{label}"
            interval = wilson(hits, len(texts))
            found.append(row(name, hits / len(texts), told, len(texts), better=better, interval=interval))
    return found


def _held_out(case_id: str) -> bool:
    """As `evaluate/crisis.py` splits the suites."""
    return int(hashlib.sha256(case_id.encode()).hexdigest()[0], 16) % 2 == 1


def _background(root: Path) -> Iterator[str]:
    emotions = [line.split("\t")[0] for line in EMOTIONS.where(root).read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(emotions)
    with STRESS.where(root).open(encoding="utf-8", newline="") as file:
        stress = [r["sentence"] for r in csv.DictReader(file)]
    with CHAT.where(root).open(encoding="utf-8", newline="") as file:
        chats = list(csv.DictReader(file))[:NUM_CHATS]
    said = [line.partition(": ")[2] for r in chats for line in r["Best Generated Conversation"].splitlines()]
    for text in dict.fromkeys((*emotions[:NUM_EMOTIONS], *stress, *said)):
        if len(text) > 8 and not any(word in text.lower() for word in LEFT_OUT):
            yield text


def _asked(root: Path) -> list[str]:
    """What is said to a counsellor, in the pieces that triage reads: in questions of CounselChat that are not held out,
    and by the clients of the bundled samples."""
    said = [part for row in taught(root) for part in (row.title, row.asked)]
    said += [row["question"] for row in _lines(COUNSELLING.where(root))]
    for dialogue in _lines(DIALOGUES.where(root)):
        clients = {p["name"] for p in dialogue["personas"] if p["role"] == "client"}
        said += [turn["text"] for turn in dialogue["turns"] if turn["speaker"] in clients]
    found = dict.fromkeys(piece for text in dict.fromkeys(said) for piece in pieces(text))
    return [text for text in found if len(text) > 8 and not any(word in text.lower() for word in LEFT_OUT)]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


TASK = Task(
    name="crisis",
    version=1,
    purpose="Whether a short English message may speak of a danger to somebody, of which class, and whether it is "
    "grave: a question to ask, or the safe reply where it is very sure; never an emergency.",
    labels=LABELS,
    recipe=Recipe(view="signs", words=3, skips=True, letters=(3, 5)),
    sources=(DANGER, HARMLESS, EMOTIONS, STRESS, CHAT, FIRST, SECOND, COUNSELLING, DIALOGUES),
    split="Everything here is training data. Weights are fitted on all of it; calibration and thresholds come from "
    "five folds over distinct texts. It is measured on the suites of pe_ray/evaluate, of which it has seen no text.",
    limits=(
        "It has read some sixteen thousand sentences of twenty-one writers, all of them language models, and misses "
        "much of what is only hinted at.",
        "An ordinary sentence about family, food or the body is at times taken for a danger, and so are denials.",
        "It reads English, one message at a time, and knows no irony, no story and no context.",
        "It finds words that resemble those of danger. A message that it passes is not safe.",
        "No clinician has looked at its sentences, its labels or its errors.",
    ),
    read=read,
    figures=figures,
    fit=Fit(strength=16.0, balanced=False, folds=5, keep=90_000, false_alarm=(0.02, 0.06, 0.02)),
    min_words=2,
)
