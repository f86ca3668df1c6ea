"""Does the answer belong to the question? A row check with fixed weights.

Relatedness is the cosine of two weighed bags: content stems, and the fields of life (`fields.toml`) that they belong
to. A TF-IDF or LSA space fitted on each corpus would separate pairs better in distribution, but then a verdict would
depend on which other records are read, a changed source would change old decisions, and Ray would need a pass over
everything before the first row could be judged. The threshold is low on purpose: this check removes answers that have
nothing to do with their question; it does not grade answers.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pe_ray.corpus.quality import words
from pe_ray.corpus.quality.batch import Batch
from pe_ray.corpus.quality.vocabulary import Bag, Read, found_in
from pe_ray.record import Record, Verdict

NAME = "coherence"
DEFAULT_MIN = 0.05
MIN_STEMS = 3
"""A question or answer with fewer content stems ("And then?") cannot be judged by its words; it passes at 0.5."""


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict:
    """Relatedness in 0..1 of what the assistant says to what the user says."""
    question, answer = (words.features(record.text_of(role)) for role in ("user", "assistant"))
    if min(_stems(question), _stems(answer)) < MIN_STEMS:
        return _too_short(minimum)
    shared = sorted(question.keys() & answer.keys())
    fields = sum(f.startswith("field:") for f in shared)
    return _verdict(words.cosine(question, answer), len(shared) - fields, fields, minimum)


def judge(batch: Batch) -> list[Verdict]:
    """`check` of every record, from words that were read once for the whole batch."""
    num = len(batch)
    question, answer = batch.user.read, batch.assistant.read
    stems, fields = _shared(question.stems, answer.stems), _shared(question.fields, answer.fields)
    dots = _dots(batch, stems, fields)
    num_stems, num_fields = (np.bincount(part.text, minlength=num).tolist() for part in (stems, fields))
    judged = np.minimum(_sizes(question.stems, num), _sizes(answer.stems, num)) >= MIN_STEMS
    verdicts = []
    for n, (a, b) in enumerate(zip(_squares(question, num), _squares(answer, num), strict=True)):
        if judged[n]:
            verdicts.append(_verdict(dots[n] / math.sqrt(a * b), num_stems[n], num_fields[n], DEFAULT_MIN))
        else:
            verdicts.append(_too_short(DEFAULT_MIN))
    return verdicts


def _too_short(minimum: float) -> Verdict:
    return Verdict(NAME, 0.5, minimum <= 0.5, "too few words to judge")


def _verdict(cosine: float, stems: int, fields: int, minimum: float) -> Verdict:
    score = round(cosine, 4)
    return Verdict(NAME, score, score >= minimum, f"{stems} shared stems, {fields} shared fields")


def _stems(features: dict[str, float]) -> int:
    return sum(not f.startswith("field:") for f in features)


def _shared(a: Bag, b: Bag) -> Bag:
    """Features that both texts of a record have; the weight is the product of theirs."""
    both = found_in(b.keys, a.keys)
    weight = a.weight[both] * b.weight[found_in(a.keys, b.keys)]
    return Bag(a.text[both], a.feature[both], weight)


def _dots(batch: Batch, stems: Bag, fields: Bag) -> list[float]:
    """(N,) sums of the products, in the order of the features' names: a sum of floats depends on its order."""
    names = [*batch.vocabulary.stem_names(stems.feature), *batch.vocabulary.field_keys(fields.feature)]
    place = {name: i for i, name in enumerate(sorted(set(names)))}
    text = np.concatenate([stems.text, fields.text])
    order = np.lexsort((np.array([place[name] for name in names], np.int64), text))
    products = np.concatenate([stems.weight, fields.weight])[order]
    dots: list[float] = np.bincount(text[order], products, len(batch)).tolist()
    return dots


def _sizes(bag: Bag, num: int) -> NDArray[np.int64]:
    return np.bincount(bag.text, minlength=num)


def _squares(read: Read, num: int) -> list[float]:
    """(N,) the squared length of each text's features; `fsum` is exact, so that their order does not matter."""
    parts = []
    for bag in (read.stems, read.fields):
        ends = np.searchsorted(bag.text, np.arange(num + 1)).tolist()
        squares = (bag.weight * bag.weight).tolist()
        parts.append([squares[a:b] for a, b in pairwise(ends)])
    return [math.fsum(a + b) for a, b in zip(*parts, strict=True)]
