"""What is a question that somebody wants answered? Tags, murmurs and rhetoric end in a question mark too.

asks("So what did you learn as a hospice nurse?")    True
asks("It never stops, does it?")                      False: a tag
asks("Really?")                                       False: a back-channel
asks("Who knows?")                                    False: rhetoric
asks("Tell me about your training.")                  True: a request
"""

from __future__ import annotations

import re

LEAD = r"(?:(?:so|and|but|now|well|okay|ok|then|right|yeah|um|uh|first|next|also|maybe|alright),?\s+){0,3}"
OPENER = re.compile(
    rf"^{LEAD}(?:what|what's|why|how|how's|when|where|who|whom|whose|which|is|are|was|were|am|do|does|did|can|could"
    r"|should|would|will|have|has|had|must|may|might|isn't|aren't|wasn't|weren't|don't|doesn't|didn't|can't|couldn't"
    r"|shouldn't|wouldn't|won't|haven't|hasn't|in what|at what|to what|for whom|with whom|of all)\b",
    re.IGNORECASE,
)
REQUEST = re.compile(
    rf"^{LEAD}(?:(?:please|can you|could you|would you|i(?:'d| would) like you to|i want you to)\s+)?"
    r"(?:tell (?:me|us)|talk (?:me|us|to me|to us|about)|walk (?:me|us)|take (?:me|us) (?:back|through)"
    r"|describe|explain|say (?:more|a bit)"
    r"|give (?:me|us) (?:an example|a sense)|help (?:me|us) understand|share with (?:me|us))\b",
    re.IGNORECASE,
)
TAG = re.compile(
    r"(?:,\s*|\s[-–—]\s*)(?:right|no|yes|yeah|okay|ok|you know|you see|huh|eh|correct|am i right|don't you think"
    r"|(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)(?:n't)?"
    r" (?:it|he|she|they|we|you|i|there|that))\?$",
    re.IGNORECASE,
)
"""A statement that asks for a nod."""
RHETORIC = re.compile(
    rf"^{LEAD}(?:who knows|who cares|what can (?:you|one|i) (?:do|say)|what (?:else )?could (?:i|we|you) (?:do|say)"
    r"|why not|so what|what's the point|(?:do )?you know what(?: i mean)?"
    r"|you know what i(?:'m| am) saying|know what i mean|guess what"
    r"|how (?:cool|great|amazing|sad) is that|who (?:doesn't|wouldn't|hasn't)\b.{0,60}|what's not to (?:like|love)"
    r"|(?:does|do) (?:that|this|it|i) make(?: any)? sense|are you with me|can you believe (?:it|that)"
    r"|isn't (?:that|it) (?:something|funny|amazing|interesting|strange|odd)"
    r"|how (?:could|can|would) (?:i|we|you|anyone|anybody) (?:not|possibly)\b.{0,60}"
    r"|what (?:was|were) (?:i|we|they|you) thinking|where was i|what was i saying|what's that (?:word|called)"
    r"|what do you call it|how (?:should|shall|do) i (?:put|say) (?:it|this|that))\?+$",
    re.IGNORECASE,
)
"""What is asked for effect, or of oneself in passing."""
ECHOES = frozenset(
    (
        *("really", "oh really", "oh yeah", "yeah", "yes", "no", "oh no", "no way", "seriously", "for real", "right"),
        *("is that so", "is that right", "is it", "was it", "isn't it", "wasn't it", "okay", "ok", "what", "sorry"),
        *("you did", "you do", "you are", "you have", "you were", "they did", "he did", "she did", "pardon"),
        *("did you", "do you", "are you", "have you", "were you", "did they", "did he", "did she", "excuse me"),
        *("say that again", "come again", "hm", "hmm", "huh", "mm", "mhm", "uh-huh", "mm-hmm"),
        *("and", "so", "but", "then what", "and then"),
    )
)
"""What a listener says to show that they listen; "and then?" keeps a story going and asks nothing of its own."""
LEAST_WORDS = 3


def asks(sentence: str) -> bool:
    """Is this sentence a question or a request that wants an answer?"""
    said = " ".join(sentence.replace("’", "'").split()).strip("\"“”'()[]-–— ")
    bare = said.rstrip("?!. …").casefold()
    if bare in ECHOES or RHETORIC.match(said):
        return False
    if REQUEST.match(said):
        return True
    if not said.endswith("?") or TAG.search(said):
        return False
    return len(said.split()) >= LEAST_WORDS and bool(OPENER.match(said) or _opens_late(said))


def _opens_late(said: str) -> bool:
    """A question after a lead-in: "When you were ten, what did you fear?", and one that only its tone tells."""
    return any(OPENER.match(part) for part in re.split(r"[,;:]\s+", said)[1:]) or bool(
        re.match(r"^(?:you|so you|and you|he|she|they)\b", said, re.IGNORECASE)
    )
