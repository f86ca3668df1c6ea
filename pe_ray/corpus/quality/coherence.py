"""Does the answer belong to the question? A row check over the shipped model of pairs (`safety/learn/pair.py`).

The score is the model's probability that the two belong together. Its weights are fixed: were they fitted on each
corpus, a verdict would depend on which other records are read, a changed source would change old decisions, and Ray
would need a pass over everything before the first row could be judged.

The threshold keeps 90 % of true pairs (`docs/models/pair.md`). What cannot be judged by its words (too few of them, or
few that the model knows, as in another language) passes at 0.5. Of knowledge whose question was formed for it, nothing
is said: it can be no other text's answer, and such questions avoid the words of what they ask for.
"""

from __future__ import annotations

from functools import cache
from weakref import WeakKeyDictionary

import numpy as np

from pe_ray.corpus.quality.batch import Batch, is_formed
from pe_ray.corpus.quality.vocabulary import Bag, Vocabulary
from pe_ray.record import Record, Verdict
from pe_ray.safety.learn.pair import Bags, Pairs, Scores, whole

NAME = "coherence"
DEFAULT_MIN = 0.208
UNJUDGED = 0.5


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict | None:
    """Probability in 0..1 that what the assistant says belongs to what the user says."""
    if is_formed(record.content_type, record.metadata.get("question")):
        return None
    return _verdicts(pairs().score([record.text_of("user")], [record.text_of("assistant")]), minimum)[0]


def judge(batch: Batch) -> list[Verdict | None]:
    """`check` of every record, from words that were read once for the whole batch."""
    known = known_of(batch.vocabulary)
    sides = (batch.user.read.stems, batch.assistant.read.stems)
    asked, answered = (known.bags(batch.vocabulary, stems, len(batch)) for stems in sides)
    verdicts = _verdicts(pairs().of_bags(asked, answered), DEFAULT_MIN)
    return [None if formed else verdict for formed, verdict in zip(batch.formed, verdicts, strict=True)]


class Known:
    """What the model knows of the stems of a growing vocabulary."""

    def __init__(self) -> None:
        self._forget(0)

    def _forget(self, epoch: int) -> None:
        self.epoch = epoch
        self.place, self.times, self.idf = np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
        """Place of each stem, what its weight in a bag is to be multiplied by, and how rare it is."""

    def bags(self, vocabulary: Vocabulary, stems: Bag, num: int) -> Bags:
        """Stems as the model reads them."""
        self.learn(vocabulary)
        weight_E = whole(stems.weight * self.times[stems.feature])
        return Bags(num, stems.text, stems.feature, self.place[stems.feature], weight_E)

    def learn(self, vocabulary: Vocabulary) -> None:
        """Look up the stems that are new."""
        if self.epoch != vocabulary.epoch:
            self._forget(vocabulary.epoch)
        base = vocabulary.base[len(self.place) :]
        if len(base):
            space = pairs().space
            place = [space.places.get(name, -1) for name in vocabulary.names_from(len(self.place))]
            self.place = np.concatenate([self.place, np.array(place, np.int64)])
            self.idf = np.concatenate([self.idf, space.idf(self.place[-len(base) :])])
            # a bag's weights are those of `words.weigh`
            self.times = np.concatenate([self.times, self.idf[-len(base) :] / base])


def _verdicts(found: Scores, minimum: float) -> list[Verdict]:
    rows = zip(found.probability_N.tolist(), found.feature_NF.tolist(), found.shared_N.tolist(), strict=True)
    return [_verdict(*row, minimum) for row in rows]


def _verdict(probability: float, figures: list[float], shared: int, minimum: float) -> Verdict:
    if probability != probability:  # NaN: nothing can be said
        return Verdict(NAME, UNJUDGED, minimum <= UNJUDGED, "too few known words to judge")
    words, usual, latent = figures
    score = round(probability, 4)
    reason = f"{shared} shared stems, words {words:.2f}, latent {latent:.2f}, usual {usual:.2f}"
    return Verdict(NAME, score, score >= minimum, reason)


@cache
def pairs() -> Pairs:
    """The model that ships."""
    return Pairs.load()


def known_of(vocabulary: Vocabulary) -> Known:
    """What the model knows of a vocabulary; it may have to `learn` what came since."""
    return _known.setdefault(vocabulary, Known())


_known: WeakKeyDictionary[Vocabulary, Known] = WeakKeyDictionary()
