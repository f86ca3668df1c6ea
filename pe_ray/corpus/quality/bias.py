"""Does the assistant speak with respect? A row check over `safety.bias`.

Only the assistant's words are judged: a client may say what is unfair, and a bias_detection record must. What stands
between quotation marks is somebody else's sentence. A bias_detection answer is an explanation, which has to name the
stereotype, and then, as its last paragraph, a respectful answer: that paragraph alone is judged.
"""

from __future__ import annotations

import re

from pe_ray.corpus.quality.batch import Batch, matching
from pe_ray.corpus.quality.vocabulary import Rules
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
    return _verdict(record.text_of("assistant"), record.domain, minimum)


def rules() -> Rules:
    """The rules, for the vocabulary to say which of them could fire."""
    return [(rule.patterns, rule.needs) for rule in load("bias").rules]


def judge(batch: Batch) -> list[Verdict]:
    """`check` of every record; a text is read by the rules only where its words allow one of them to fire."""
    answers = batch.assistant
    unclear = matching(answers.texts, f"{UNUSUAL}|{OPENED}") | answers.read.apart
    looked_at = answers.read.possible[NAME].any(axis=1) | unclear
    calm = Verdict(NAME, 1.0, True)
    rows = zip(answers.texts, batch.domains, looked_at.tolist(), strict=True)
    return [_verdict(text, domain, DEFAULT_MIN) if look else calm for text, domain, look in rows]


def _verdict(answer: str, domain: str, minimum: float) -> Verdict:
    text = answer.rpartition("\n\n")[2] if domain == "bias_detection" else answer
    finding = assess(QUOTED.sub(" ", text))
    score = round(float(finding.score), 4)
    return Verdict(NAME, score, score >= minimum, ", ".join(finding.rules))
