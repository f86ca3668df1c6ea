"""Could this answer stand under any question? A row check with fixed weights.

Stock phrases ("I'm sorry to hear that", "seek professional help") are taken out; what is left is specific in as far as
it has words of its own, and more so if the question has them too. With n such stems (a shared one counts twice) the
score is n / (n + 2), times the share of words that were not stock.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.quality import words
from pe_ray.corpus.quality.batch import Batch, matching
from pe_ray.corpus.quality.vocabulary import Bag, found_in
from pe_ray.record import Record, Verdict

NAME = "generic"
DEFAULT_MIN = 0.35

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
    answer = record.text_of("assistant")
    rest = STOCK.sub(" ", answer)
    own = {root for root, value in words.content(rest).items() if value >= 1}
    shared = own & words.content(record.text_of("user")).keys()
    return _verdict(len(words.words(answer)), len(words.words(rest)), len(own), len(shared), minimum)


def judge(batch: Batch) -> list[Verdict]:
    """`check` of every record, from words that were read once for the whole batch."""
    rests = _rests(batch)
    changed = np.array(list(rests), np.int64)
    num_words, num_left = batch.assistant.read.num_words, batch.assistant.read.num_words.copy()
    own, shared = _specific(batch.assistant.read.stems, batch.user.read.stems, np.arange(len(batch)))
    if rests:
        rest = batch.vocabulary.read(list(rests.values()))
        num_left[changed] = rest.num_words
        own[changed], shared[changed] = _specific(rest.stems, batch.user.read.stems, changed)
    figures = np.stack([num_words, num_left, own, shared], axis=1).tolist()
    return [_verdict(total, left, stems, both, DEFAULT_MIN) for total, left, stems, both in figures]


def _rests(batch: Batch) -> dict[int, str]:
    """What is left of each answer that holds stock phrases. On plain text RE2 and `re` agree; the rest is for `re`."""
    answers = pa.array(batch.assistant.texts, pa.string())
    left = pc.replace_substring_regex(answers, rf"(?i)\b(?:{'|'.join(STOCK_PHRASES)})\b", " ")
    changed = pc.not_equal(left, answers).to_numpy(zero_copy_only=False)
    beyond = np.flatnonzero(matching(answers, BEYOND))
    rests = {n: left[n].as_py() for n in np.flatnonzero(changed).tolist()}
    return rests | {n: STOCK.sub(" ", batch.assistant.texts[n]) for n in beyond.tolist()}


def _specific(stems: Bag, asked: Bag, records: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many specific stems each text has, and how many of them its question has too; text i is of `records[i]`."""
    strong = stems.weight >= 1
    text, feature = stems.text[strong], stems.feature[strong]
    shared = found_in(asked.keys, records[text] << 32 | feature)
    return np.bincount(text, minlength=len(records)), np.bincount(text[shared], minlength=len(records))


def _verdict(num_words: int, num_left: int, own: int, shared: int, minimum: float) -> Verdict:
    stock = 1 - num_left / max(1, num_words)
    weight = own + shared
    score = round(weight / (weight + 2) * (1 - stock), 4)
    return Verdict(NAME, score, score >= minimum, f"{own} specific stems, {stock:.0%} stock phrases")
