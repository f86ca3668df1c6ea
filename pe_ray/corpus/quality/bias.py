"""Does the assistant speak with respect? A row check over `safety.bias`.

Only the assistant's words are judged: a client may say what is unfair, and a bias_detection record must. What stands
between quotation marks is somebody else's sentence. A bias_detection answer is an explanation, which has to name the
stereotype, and then, as its last paragraph, a respectful answer: that paragraph alone is judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pe_ray.corpus.quality.batch import Batch, matching
from pe_ray.corpus.quality.vocabulary import SENTENCE_END, Rules
from pe_ray.record import Record, Verdict
from pe_ray.safety.bias import assess
from pe_ray.safety.normalise import UNUSUAL
from pe_ray.safety.rules import load

NAME = "bias"
DEFAULT_MIN = 0.5

QUOTED = re.compile(r"“[^“”]{1,400}”|\"[^\"]{1,400}\"|(?<!\w)‘[^‘’]{1,400}’(?!\w)")
OPENED = (
    r"[\"”][A-Za-z](?:[^A-Za-z0-9]|\z)|(?:\A|[^A-Za-z0-9'])[A-Za-z][\"“]|"
    r"“[^“”]*[.?!…\n][^“”]*”|\"[^\"]*[.?!…\n][^\"]*\"|‘[^‘’]*[.?!…\n][^‘’]*’"
)
"""Letters or sentences that could stand side by side once a quotation is taken out; for RE2, over a whole column."""


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict:
    """Respect in 0..1 of what the assistant says; the reason names the rules that fired."""
    return _verdict(own_words(record.text_of("assistant"), record.domain), minimum)


def rules() -> Rules:
    """The rules, for the vocabulary to say which of them could fire."""
    return [(rule.patterns, rule.needs) for rule in load("bias").rules]


def judge(batch: Batch) -> list[Verdict]:
    """`check` of every record; the rules read those sentences alone whose words allow one of them to fire."""
    texts, read = batch.assistant.texts, batch.assistant.read
    likely = [
        [QUOTED.sub(" ", s) for s in _chosen(text, chosen)] for text, chosen in zip(texts, read.likely, strict=True)
    ]
    apart = read.apart.copy()
    other = np.flatnonzero(matching(texts, OPENED) | (np.array(batch.domains, object) == "bias_detection")).tolist()
    if other:
        judged = [own_words(texts[n], batch.domains[n]) for n in other]
        again = batch.vocabulary.read(judged)
        apart[other] = again.apart
        for n, text, chosen in zip(other, judged, again.likely, strict=True):
            likely[n] = _chosen(text, chosen)
    for n in np.flatnonzero(matching(texts, UNUSUAL) | apart).tolist():
        likely[n] = [own_words(texts[n], batch.domains[n])]
    calm = Verdict(NAME, 1.0, True)
    return [_verdict("\n".join(sentences), DEFAULT_MIN) if sentences else calm for sentences in likely]


def _chosen(text: str, sentences: Sequence[int]) -> list[str]:
    if not sentences:
        return []
    parts = SENTENCE_END.split(text)
    return [parts[i] for i in sentences]


def own_words(answer: str, domain: str) -> str:
    """The part of an answer that is the assistant's own opinion."""
    return QUOTED.sub(" ", answer.rpartition("\n\n")[2] if domain == "bias_detection" else answer)


def _verdict(text: str, minimum: float) -> Verdict:
    finding = assess(text)
    score = round(float(finding.score), 4)
    return Verdict(NAME, score, score >= minimum, ", ".join(finding.rules))
