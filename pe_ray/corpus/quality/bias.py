"""Does the assistant speak with respect? A row check over `safety.bias`.

Only the assistant's words are judged: a client may say what is unfair, and a bias_detection record must. What stands
between quotation marks is somebody else's sentence. A bias_detection answer is an explanation, which has to name the
stereotype, and then, as its last paragraph, a respectful answer: that paragraph alone is judged.
"""

from __future__ import annotations

import re

from pe_ray.record import Record, Verdict
from pe_ray.safety.bias import assess

NAME = "bias"
DEFAULT_MIN = 0.5

QUOTED = re.compile(r"“[^“”]{1,400}”|\"[^\"]{1,400}\"|(?<!\w)‘[^‘’]{1,400}’(?!\w)")


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict:
    """Respect in 0..1 of what the assistant says; the reason names the rules that fired."""
    text = record.text_of("assistant")
    if record.domain == "bias_detection":
        text = text.rpartition("\n\n")[2]
    finding = assess(QUOTED.sub(" ", text))
    score = round(float(finding.score), 4)
    return Verdict(NAME, score, score >= minimum, ", ".join(finding.rules))
