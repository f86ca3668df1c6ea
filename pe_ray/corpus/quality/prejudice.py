"""Does the assistant say something of a group that resembles prejudice? A row check over `safety.prejudice`.

The rules of `bias` know forms of sentence; this is a small model that reads the sentences which name a group, of the
words that `bias` would judge too. It is wrong too often to reject a record (`docs/models/bias.md`), and to remove what
speaks of a group would remove the group from the corpus: with the threshold that ships the score is told and nothing
is removed by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa

from pe_ray.corpus.columns import Turns
from pe_ray.corpus.quality.batch import matching
from pe_ray.corpus.quality.bias import own_words
from pe_ray.record import Record, Verdict
from pe_ray.safety.groups import first_words
from pe_ray.safety.prejudice import SURE, read
from pe_ray.safety.sentences import Sign

NAME = "prejudice"
DEFAULT_MIN = 0.0
RULE = "model.prejudice"


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict | None:
    """Respect in 0..1 of the least respectful sentence about a group; None where the assistant names none."""
    return _verdict(read([own_words(record.text_of("assistant"), record.domain)])[0], minimum)


def judge(table: pa.Table) -> dict[int, Verdict]:
    """`check` of every record of a table, by row; a look at whole columns finds those that could name a group."""
    texts = Turns.of(table).said_by("assistant")
    rows = np.flatnonzero(matching(texts, _first_words())).tolist()
    domains = table["domain"].take(pa.array(rows, pa.int64())).to_pylist()
    signs = read([own_words(texts[row], domain) for row, domain in zip(rows, domains, strict=True)])
    found = ((row, _verdict(sign, DEFAULT_MIN)) for row, sign in zip(rows, signs, strict=True))
    return {row: verdict for row, verdict in found if verdict}


def spans(record: Record) -> Iterator[tuple[str, int, int, int]]:
    """(rule, message, start, end) of the sentence that is told, message by message."""
    own = [n for n, m in enumerate(record.messages) if m.role == "assistant"]
    for number, sign in zip(own, read([record.messages[n].text for n in own]), strict=True):
        if sign and sign.probability >= SURE:
            yield RULE, number, sign.start, sign.end


def _verdict(sign: Sign | None, minimum: float) -> Verdict | None:
    if sign is None:
        return None
    score = round(1 - sign.probability, 4)
    reason = f"{RULE}: {sign.probability:.2f}" if sign.probability >= SURE else ""
    return Verdict(NAME, score, score >= minimum, reason)


@cache
def _first_words() -> str:
    """For RE2, over a whole column; what folds to such a word without being one in letters is left to the rules."""
    return rf"(?i)\b(?:{'|'.join(sorted(first_words()))})\b"
