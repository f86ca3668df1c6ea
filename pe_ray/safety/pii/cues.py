"""The words and patterns that say whether a capitalised word is a name: what stands before it, behind it, and in it."""

from __future__ import annotations

import re

UPPER = "A-ZÀ-ÖØ-Þ"
LETTER = r"[^\W\d_]"
CAPITALS = re.compile(rf"[{UPPER}]{LETTER}++(?![’']t)")  # "Don't" holds no Don
"""What the gate looks up: cheap to find, and enough to know that a listed name is there."""
WORD = re.compile(rf"[{UPPER}]{LETTER}*(?:[’'-][{UPPER}]{LETTER}+)*")
PARTICLE = re.compile(r" (?:de la|de los|de|del|della|di|da|dos|van der|van den|van|von|bin|ibn|al|le|la|ter) ")

KIN = (
    "mother|father|mom|mum|dad|sister|brother|son|daughter|wife|husband|partner|boyfriend|girlfriend|fianc[eé]e?|ex|"
    "friend|bestie|cousin|nephew|niece|boss|manager|supervisor|coworker|co-worker|colleague|roommate|flatmate|"
    "neighbou?r|therapist|counsell?or|psychiatrist|psychologist|stepdad|stepmom|stepfather|stepmother|stepson|"
    "stepdaughter|mother-in-law|father-in-law|kid|baby|twin|crush|bf|gf"
)
NAME_CUE = (
    r"(?:names? (?:is|was|are)|name[’']?s|name ?:|i go by|call me|nicknamed|(?:i am|i[’']m|s?he is|s?he[’']s|s?he was|"
    r"man|woman|guy|girl|boy|friend|person|somebody|someone|therapist|counsell?or|doctor|client|patient|kid|child|baby)"
    r" (?:called|named))"
)
SIGN_OFF = (
    r"(?:^|(?<=[.!?] )|(?<=\n))(?:signed|(?:yours )?sincerely|yours(?: truly)?|(?:best |kind |warm )?regards|"
    r"best wishes|warmly|cheers|respectfully)"
)
SIGNED = re.compile(r"[.!]?\s*(?:\n|$|[-–—,])")
CUE = re.compile(
    rf"(?i)(?P<name>\b{NAME_CUE}\s{{1,2}}[\"'“]?)$|"
    rf"(?P<kin>\b(?:my|his|her|our|their|your) (?:[a-z]{{2,9}} )?(?:{KIN})(?:, | ))$|"
    rf"(?P<signed>{SIGN_OFF}[,:]?\s{{1,3}}(?:[-–—~]\s?)?)$|"
    r"(?P<iam>\b(?:i[’']?m|i am|this is|it[’']s|meet) )$|"
    r"(?P<greet>\b(?:hi|hello|hey|dear|thanks|thank you|bye|goodbye|welcome|sorry),? )$"
)
"""What may stand right before a name, at the end of the stretch that is looked at."""
CUE_LENGTH = 48
CUE_NEEDS = (
    " name",
    "Name",
    "all me",
    " called ",
    " named ",
    "go by ",
    "Signed",
    "ncerely",
    "Yours",
    "egards",
    "ishes",
    "Warmly",
    "Cheers",
    "Respectfully",
)
"""One of these stands before a name that opens a line or a quotation and is in no list."""
INSIDE_SENTENCE = re.compile(rf"[a-z],? ([{UPPER}]){LETTER}")
LOWER_NEEDS = ("name is ", "name’s ", "name's ", "name: ", "call me ", "m called ", "mr ", "mr. ", "mrs", "dr ", "dr. ")
LOWER_CUED = re.compile(
    r"(?i:\b(?:my name is|my name[’']s|(?:his|her|their) name is|name ?:|call me|"
    r"i[’']?m called)) (?P<value>[a-z]{3,14}(?: [a-z]{3,14})?)(?![\w’'])|"
    r"\b(?:dr|mr|mrs)\.? (?P<title>[a-z]{2,14})(?![\w’'])"
)
SPEECH = re.compile(
    r" (?:said|says|told|asked|called|texted|replied|answered|yelled|shouted|cried|smiled|laughed|apologi[sz]ed|"
    r"promised|thinks|wants|hates|and I\b|moved|left|died|passed away|broke up|hit|hugged|kissed|works|lives|"
    r"(?:does|did|wo|would)n[’']t)\b"
)
"""What only people do: behind a word, it makes a name of it."""
INSTITUTION = re.compile(
    rf"(?P<of>[’']s?)?(?: [{UPPER}][\w’'-]*){{0,3}}[ -](?:(?:Self-Esteem |Rating )?Scale|Inventory|Questionnaire|Index|"
    r"Test|Screening|Institute|Foundation|Project|Act|Law|Cent(?:er|re)|Clinic|Hospital|University|College|School|Church|"
    r"Academy|Prize|Award|Street|Avenue|Road|House|Library|Method|Model|Theory|Technique|Hotline|Helpline|Lifeline)\b"
)
"""Behind a name, it makes an institution or a test of it; "Sarah's School" is still hers."""
SCIENCE = re.compile(
    r"(?:[’']s?)? (?:(?:\w+ )?(?:disease|syndrome|disorder|palsy|theory|hierarchy|psychosis|encephalopathy)|"
    r"therapy|model|method|approach|scale|inventory|stages|triad|experiment|effect|box|area)\b"
)
"""Behind a family name: what was found by, or called after, somebody."""
BOOKS = frozenset(
    [
        "amos",
        "daniel",
        "esther",
        "ezekiel",
        "ezra",
        "isaiah",
        "james",
        "jeremiah",
        "job",
        "joel",
        "john",
        "jonah",
        "joshua",
        "jude",
        "luke",
        "mark",
        "matthew",
        "micah",
        "peter",
        "ruth",
        "samuel",
        "timothy",
        "titus",
    ]
)
VERSE = re.compile(r" \d{1,3}:\d")
BEFORE_SAINT = re.compile(r"\b(?:Saint|St\.?|San|Santa|Hurricane|Port|Lake|Mount|Mt\.?|Fort|New|Hotel|Camp) $")
SENTENCE_START = '.!?:\n"“”(•*;[]-–—'
