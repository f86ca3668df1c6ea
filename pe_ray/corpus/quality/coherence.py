"""Does the answer belong to the question? A row check with fixed weights.

Relatedness is the cosine of two weighed bags: content stems, and the fields of life (`fields.toml`) that they belong
to. A TF-IDF or LSA space fitted on each corpus would separate pairs better in distribution, but then a verdict would
depend on which other records are read, a changed source would change old decisions, and Ray would need a pass over
everything before the first row could be judged. The threshold is low on purpose: this check removes answers that have
nothing to do with their question; it does not grade answers.
"""

from __future__ import annotations

from pe_ray.corpus.quality import words
from pe_ray.record import Record, Verdict

NAME = "coherence"
DEFAULT_MIN = 0.05
MIN_STEMS = 3
"""A question or answer with fewer content stems ("And then?") cannot be judged by its words; it passes at 0.5."""


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict:
    """Relatedness in 0..1 of what the assistant says to what the user says."""
    question, answer = (words.features(record.text_of(role)) for role in ("user", "assistant"))
    if min(_stems(question), _stems(answer)) < MIN_STEMS:
        return Verdict(NAME, 0.5, minimum <= 0.5, "too few words to judge")
    score = round(words.cosine(question, answer), 4)
    shared = sorted(question.keys() & answer.keys())
    fields = sum(f.startswith("field:") for f in shared)
    return Verdict(NAME, score, score >= minimum, f"{len(shared) - fields} shared stems, {fields} shared fields")


def _stems(features: dict[str, float]) -> int:
    return sum(not f.startswith("field:") for f in features)
