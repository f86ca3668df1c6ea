"""Could this answer stand under any question? A row check with fixed weights.

Stock phrases ("I'm sorry to hear that", "seek professional help") are taken out. What is left is specific in as far as
its words are rare among answers (`safety/learn/pair.py` knows how rare each is) or the question has them too:

    (mean rarity of its stems, 1 for an unknown one + the share of them that the question has) x the share of words left

and at most 1. It does not grow with the answer's length. The threshold keeps 98 of 100 answers of CounselChat.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.quality import words
from pe_ray.corpus.quality.batch import Batch, matching
from pe_ray.corpus.quality.coherence import known_of, pairs
from pe_ray.corpus.quality.vocabulary import Bag, found_in
from pe_ray.record import Record, Verdict

NAME = "generic"
DEFAULT_MIN = 0.4
PARTS = 256
"""Rarity is counted in whole parts, so that a sum does not depend on its order."""

Ints = NDArray[np.int64]

STOCK_PHRASES = tuple(
    r"""
    i(?:['’]m| am) (?:so |very |really )?sorry (?:to hear (?:that|this|about this)|(?:that )?you(?:['’]re| are) going through (?:this|that))
    (?:thank you|thanks) (?:so much )?for (?:sharing(?: (?:this|that|with (?:me|us)))*|reaching out|your (?:question|message|honesty)|asking)
    (?:that|this|it) (?:must|can|sounds? like it (?:must|can)) be (?:so |very |really )?(?:hard|difficult|tough|challenging)
    (?:that|this|it) sounds (?:so |very |really |incredibly )?(?:hard|difficult|tough|challenging|frustrating|painful|stressful)
    (?:i|we) (?:completely |totally |really )?(?:understand|hear|know) (?:how|what) you(?:['’]re| are)? (?:must )?(?:feel(?:ing)?|going through|saying)
    your feelings are (?:completely |totally )?(?:valid|normal|understandable|important)
    (?:you(?:['’]re| are)|know that you(?:['’]re| are)) not alone(?: in this)?
    (?:please )?(?:consider|try|think about)? ?(?:seek(?:ing)?|get(?:ting)?|find(?:ing)?|reach(?:ing)? out (?:to|for)) (?:some )?(?:a )?(?:professional help|(?:licensed |qualified |good )?(?:therapist|counsell?or|mental health professional|professional|support))
    (?:talk|speak|talking|speaking) (?:to|with) (?:a|your|some) ?(?:licensed |qualified |good )?(?:therapist|counsell?or|doctor|professional|mental health professional|one you trust)
    (?:a|the) (?:therapist|counsell?or|professional|mental health professional) (?:can|could|will|may|might) (?:be able to )?help(?: you)?
    (?:everyone|everybody|every person|each person) is (?:different|unique)
    it(?:['’]s| is) (?:okay|ok|important|normal|natural) to (?:feel (?:this way|that way|like this)|take care of yourself|ask for help|remember that)
    (?:take|taking) (?:good )?care of yourself
    be kind to yourself
    one day at a time
    hang in there
    stay strong
    (?:things|it) (?:will|can) get better
    time heals(?: all wounds)?
    everything (?:happens for a reason|will be (?:okay|fine|alright))
    (?:i|we) hope (?:this|that) helps
    (?:good luck|best wishes|all the best)
    feel free to (?:ask|reach out|contact me)
    it (?:really |all )?depends(?: on (?:the situation|many (?:things|factors)|you))?
    (?:communication|self[- ]care|patience) is (?:the )?(?:key|important|essential)
    there are (?:many|several|lots of) (?:ways|options|things|factors|reasons)(?: to (?:consider|deal with this))?
    (?:as an ai|as a) (?:language model|large language model)
    """.strip().split("\n    ")  # noqa: E501 (a row to a phrase)
)
BEYOND = r"[^\x00-\x7f\xa0–—‘’“”…]"
"""What RE2 may see otherwise than `re`: letters beyond ASCII."""
STOCK = re.compile(rf"\b(?:{'|'.join(STOCK_PHRASES)})\b", re.IGNORECASE)


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict:
    """Specificity in 0..1 of what the assistant says."""
    answer, space = record.text_of("assistant"), pairs().space
    rest = STOCK.sub(" ", answer)
    own = words.content(rest)
    rarity = sum(map(_rarity, space.idf(np.array([space.places.get(root, -1) for root in own], np.int64)).tolist()))
    shared = len(own.keys() & words.content(record.text_of("user")).keys())
    return _verdict(len(words.words(answer)), len(words.words(rest)), len(own), rarity, shared, minimum)


def judge(batch: Batch) -> list[Verdict]:
    """`check` of every record, from words that were read once for the whole batch."""
    rests = _rests(batch)
    changed = np.array(list(rests), np.int64)
    num_words, num_left = batch.assistant.read.num_words, batch.assistant.read.num_words.copy()
    figures = _figures(batch, batch.assistant.read.stems, np.arange(len(batch)))
    if rests:
        rest = batch.vocabulary.read(list(rests.values()))
        num_left[changed] = rest.num_words
        figures[:, changed] = _figures(batch, rest.stems, changed)
    rows = np.stack([num_words, num_left, *figures], axis=1).tolist()
    return [_verdict(*row, DEFAULT_MIN) for row in rows]


def _rests(batch: Batch) -> dict[int, str]:
    """What is left of each answer that holds stock phrases. On plain text RE2 and `re` agree; the rest is for `re`."""
    answers = pa.array(batch.assistant.texts, pa.string())
    left = pc.replace_substring_regex(answers, rf"(?i)\b(?:{'|'.join(STOCK_PHRASES)})\b", " ")
    changed = pc.not_equal(left, answers).to_numpy(zero_copy_only=False)
    beyond = np.flatnonzero(matching(answers, BEYOND))
    rests = {n: left[n].as_py() for n in np.flatnonzero(changed).tolist()}
    return rests | {n: STOCK.sub(" ", batch.assistant.texts[n]) for n in beyond.tolist()}


def _figures(batch: Batch, stems: Bag, records: Ints) -> Ints:
    """(3, N) stems of each text, their rarity together, and how many its question has; text i is of `records[i]`."""
    known, num = known_of(batch.vocabulary), len(records)
    known.learn(batch.vocabulary)
    rarity = np.bincount(stems.text, np.rint(known.idf[stems.feature] * PARTS), num)
    shared = found_in(batch.user.read.stems.keys, records[stems.text] << 32 | stems.feature)
    counts = (np.bincount(stems.text, minlength=num), rarity, np.bincount(stems.text[shared], minlength=num))
    return np.stack(counts).astype(np.int64)


def _rarity(idf: float) -> int:
    return round(idf * PARTS)


def _verdict(num_words: int, num_left: int, own: int, rarity: int, shared: int, minimum: float) -> Verdict:
    most = pairs().space.unknown_idf * PARTS
    left, rare = num_left / max(1, num_words), rarity / most / max(1, own)
    score = round(min(1.0, rare + shared / max(1, own)) * left, 4)
    reason = f"{own} stems, rare by {rare:.2f}, {shared} of the question, {1 - left:.0%} stock phrases"
    return Verdict(NAME, score, score >= minimum, reason)
