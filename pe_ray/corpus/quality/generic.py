"""Could this answer stand under any question? A row check with fixed weights.

Stock phrases ("I'm sorry to hear that", "seek professional help") are taken out; what is left is specific in as far as
it has words of its own, and more so if the question has them too. With n such stems (a shared one counts twice) the
score is n / (n + 2), times the share of words that were not stock.
"""

from __future__ import annotations

import re

from pe_ray.corpus.quality import words
from pe_ray.record import Record, Verdict

NAME = "generic"
DEFAULT_MIN = 0.35

STOCK = re.compile(
    r"""\b(?:
      i(?:['’]m|\ am)\ (?:so\ |very\ |really\ )?sorry\ (?:to\ hear\ (?:that|this|about\ this)|(?:that\ )?you(?:['’]re|\ are)\ going\ through\ (?:this|that))
    | (?:thank\ you|thanks)\ (?:so\ much\ )?for\ (?:sharing(?:\ (?:this|that|with\ (?:me|us)))*|reaching\ out|your\ (?:question|message|honesty)|asking)
    | (?:that|this|it)\ (?:must|can|sounds?\ like\ it\ (?:must|can))\ be\ (?:so\ |very\ |really\ )?(?:hard|difficult|tough|challenging)
    | (?:that|this|it)\ sounds\ (?:so\ |very\ |really\ |incredibly\ )?(?:hard|difficult|tough|challenging|frustrating|painful|stressful)
    | (?:i|we)\ (?:completely\ |totally\ |really\ )?(?:understand|hear|know)\ (?:how|what)\ you(?:['’]re|\ are)?\ (?:must\ )?(?:feel(?:ing)?|going\ through|saying)
    | your\ feelings\ are\ (?:completely\ |totally\ )?(?:valid|normal|understandable|important)
    | (?:you(?:['’]re|\ are)|know\ that\ you(?:['’]re|\ are))\ not\ alone(?:\ in\ this)?
    | (?:please\ )?(?:consider|try|think\ about)?\ ?(?:seek(?:ing)?|get(?:ting)?|find(?:ing)?|reach(?:ing)?\ out\ (?:to|for))\ (?:some\ )?(?:a\ )?(?:professional\ help|(?:licensed\ |qualified\ |good\ )?(?:therapist|counsell?or|mental\ health\ professional|professional|support))
    | (?:talk|speak|talking|speaking)\ (?:to|with)\ (?:a|your|some)\ ?(?:licensed\ |qualified\ |good\ )?(?:therapist|counsell?or|doctor|professional|mental\ health\ professional|one\ you\ trust)
    | (?:a|the)\ (?:therapist|counsell?or|professional|mental\ health\ professional)\ (?:can|could|will|may|might)\ (?:be\ able\ to\ )?help(?:\ you)?
    | (?:everyone|everybody|every\ person|each\ person)\ is\ (?:different|unique)
    | it(?:['’]s|\ is)\ (?:okay|ok|important|normal|natural)\ to\ (?:feel\ (?:this\ way|that\ way|like\ this)|take\ care\ of\ yourself|ask\ for\ help|remember\ that)
    | (?:take|taking)\ (?:good\ )?care\ of\ yourself | be\ kind\ to\ yourself | one\ day\ at\ a\ time | hang\ in\ there | stay\ strong
    | (?:things|it)\ (?:will|can)\ get\ better | time\ heals(?:\ all\ wounds)? | everything\ (?:happens\ for\ a\ reason|will\ be\ (?:okay|fine|alright))
    | (?:i|we)\ hope\ (?:this|that)\ helps | (?:good\ luck|best\ wishes|all\ the\ best) | feel\ free\ to\ (?:ask|reach\ out|contact\ me)
    | it\ (?:really\ |all\ )?depends(?:\ on\ (?:the\ situation|many\ (?:things|factors)|you))?
    | (?:communication|self[- ]care|patience)\ is\ (?:the\ )?(?:key|important|essential)
    | there\ are\ (?:many|several|lots\ of)\ (?:ways|options|things|factors|reasons)(?:\ to\ (?:consider|deal\ with\ this))?
    | (?:as\ an\ ai|as\ a)\ (?:language\ model|large\ language\ model)
    )\b""",  # noqa: E501 (a row to a phrase)
    re.IGNORECASE | re.VERBOSE,
)


def check(record: Record, minimum: float = DEFAULT_MIN) -> Verdict:
    """Specificity in 0..1 of what the assistant says."""
    answer = record.text_of("assistant")
    all_words = len(words.words(answer))
    rest = STOCK.sub(" ", answer)
    stock = 1 - len(words.words(rest)) / max(1, all_words)
    own = {root for root, value in words.content(rest).items() if value >= 1}
    shared = own & words.content(record.text_of("user")).keys()
    weight = len(own) + len(shared)
    score = round(weight / (weight + 2) * (1 - stock), 4)
    return Verdict(NAME, score, score >= minimum, f"{len(own)} specific stems, {stock:.0%} stock phrases")
