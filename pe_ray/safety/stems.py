"""The words of an English text, and their stems: what all that compares texts by their words agrees on."""

from __future__ import annotations

import re
from functools import lru_cache

WORD = re.compile(r"[^\W\d_]+|\d+")

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those i me my mine myself we us our ours ourselves you your yours yourself
    yourselves he him his himself she her hers herself it its itself they them their theirs themselves who
    whom whose which what where when why how and or but nor so yet if then else because as until while of at
    by for with about against between into through during before after above below to from up down in out on
    off over under again further once here there all any both each few more most other some such no not only
    own same than too very can will just should now be am is are was were been being have has had having do
    does did doing would could ought may might must shall also although though whether unless since upon
    within without toward towards across behind beyond near along among around another anyone anything anybody
    everyone everything everybody someone something somebody nobody nothing none either neither every much
    many lot lots bit one two first last next ever never always often sometimes even still already almost
    quite rather really perhaps maybe instead however therefore otherwise im ive id ill youre youve youd youll
    hes shes weve theyre theyve isnt arent wasnt werent dont doesnt didnt wont wouldnt cant couldnt shouldnt
    hasnt havent hadnt thats theres whats lets um uh mm yes yeah ok okay oh well
    """.split()  # noqa: SIM905 (a list of three hundred quoted words would be no easier to read)
)

_ENDINGS = (
    *("ations", "ation", "ingly", "fulness", "ousness", "iveness", "ments", "ment", "ness", "ings", "ing", "edly"),
    *("ions", "ion", "ies", "ied", "ers", "er", "ed", "ily", "ly", "es", "ive", "ful", "al", "s", "y", "e"),
)


def words(text: str) -> list[str]:
    """The words of a text in lower case, apostrophes out."""
    return WORD.findall(text.casefold().replace("'", "").replace("’", ""))


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A word without its endings, roughly: sleeping, sleeps, sleepy -> sleep; never below three letters."""
    for _ in range(2):
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                word = word.removesuffix(ending)
                break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word
