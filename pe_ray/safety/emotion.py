"""What a text shows of feeling: emotions with probabilities, and how pleasant and stirred it sounds, with its spread.

    read(["I am so proud of you, that was wonderful!"])[0].labels == ("admiration", "pride")

It is what words show and not what a person feels: no sign of risk, no symptom, no part of a trend of scores. Triage
does not import it, and a test says so. Short texts and other languages get no figures, and a reason.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from pe_ray.safety.learn import Model, load
from pe_ray.safety.learn.abstain import too_short
from pe_ray.safety.rules import read as data

TONE_WORDS = 20
"""A text of fewer words has emotions, but no valence and arousal: one word more could turn them round."""


@dataclass(frozen=True)
class Tone:
    """Valence and arousal in -1..1, each with a standard deviation: the emotions' own spread and their disagreement."""

    valence: float
    valence_sd: float
    arousal: float
    arousal_sd: float


@dataclass(frozen=True)
class Emotion:
    """Of one text. `abstained` has a reason; `tone` is None for a text that is too short for it."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Calibrated probability of each emotion; several may hold at a time."""
    labels: tuple[str, ...] = ()
    """Emotions that the text is said to show, the likeliest first; `neutral` stands for none."""
    tone: Tone | None = None
    abstained: bool = False
    reason: str = ""


def read(texts: Sequence[str], tone_words: int = TONE_WORDS) -> list[Emotion]:
    """Emotions of texts of any kind."""
    judged = model().judge(texts)
    short = ["" if j.abstained else too_short(text, tone_words) for text, j in zip(texts, judged, strict=True)]
    toned = [n for n, (j, why) in enumerate(zip(judged, short, strict=True)) if not (j.abstained or why)]
    told = dict(zip(toned, tones([judged[n].scores for n in toned]), strict=True))
    found = []
    for n, (judgement, why) in enumerate(zip(judged, short, strict=True)):
        if judgement.abstained:
            found.append(Emotion(abstained=True, reason=judgement.reason))
            continue
        scores = judgement.scores
        labels = tuple(sorted(judgement.labels, key=lambda name: -scores[name]))
        found.append(Emotion(scores, labels, told.get(n), reason=why))
    return found


def tones(scores: Sequence[Mapping[str, float]]) -> list[Tone]:
    """Valence and arousal: the mean over the emotions by probability, with the variance within and between them."""
    if not scores:
        return []
    table = affect()
    weight_NL = np.array([[each[name] for name in table] for each in scores])
    share_NL = weight_NL / np.maximum(weight_NL.sum(axis=1, keepdims=True), 1e-9)
    place_L3 = np.array(list(table.values()))
    found = []
    for place_L in (place_L3[:, 0], place_L3[:, 1]):
        mean_N = share_NL @ place_L
        apart_NL = place_L - mean_N[:, None]
        variance_N = (share_NL * (place_L3[:, 2] ** 2 + apart_NL**2)).sum(axis=1)
        found += [mean_N, np.sqrt(variance_N)]
    return [Tone(*row) for row in np.round(np.stack(found, axis=1), 4).tolist()]


@cache
def affect() -> Mapping[str, tuple[float, float, float]]:
    """Emotion -> valence, arousal, spread: `data/affect.toml`, in the order of the model's labels."""
    told = tomllib.loads(data("affect"))
    return {name: tuple(told[name]) for name in model().labels}


@cache
def model() -> Model:
    """The model that ships."""
    return load("emotion")
