"""Questions that somebody might ask about what a text answers: some phrasings of each kind, chosen by hash.

Names are taken as they stand, so no phrasing puts an article before one.
"""

from __future__ import annotations

from collections.abc import Sequence

from pe_ray.record import digest

TERM = (
    "What does the term “{name}” mean?",
    "How would you explain {name} to somebody who has never heard of it?",
    "I came across “{name}” in something that I was reading. What is meant by it?",
    "Can you tell me, in plain words, what {name} stands for?",
    "My course keeps mentioning {name}. What does that refer to?",
    "How is {name} defined?",
    "Somebody said “{name}” yesterday and I only nodded. What were they talking about?",
    "What should I have in mind when I hear about {name}?",
    "Could you define {name} for me?",
    "I would like to understand {name}. Where do I begin?",
)
TECHNIQUE = (
    "How does {name} work in a session, and whom is it for?",
    "When would a therapist use {name}, and what are the steps?",
    "Could you walk me through {name} and say when it should not be used?",
    "My supervisor suggested {name}. What is it for, and how is it done?",
    "What does a therapist do in {name}?",
    "I want to learn {name}. What do I need to know before I try it with a client?",
)
CRITERIA = (
    "What are the criteria for {name}?",
    "How is {name} diagnosed?",
    "Which criteria have to be met before one speaks of {name}?",
    "What does a clinician look for in the diagnosis of {name}?",
    "I read the name {name}. What does its diagnosis require?",
)
PASSAGE = (
    "What should I know about {title}?",
    "Can you tell me more about {title}?",
    "I am reading about {subject}. What is there to say about {title}?",
    "Could you explain {title} in some detail?",
    "How would you introduce {title} to a student?",
    "In the study of {subject}, what is said about {title}?",
)
PASSAGE_ALONE = tuple(p for p in PASSAGE if "{subject}" not in p)
"""For a text that has no subject above its title."""
FURTHER = (
    "How does {term} come into {title}?",
    "And where does {term} fit in, with {title}?",
    "What about {term}, when we speak of {title}?",
    "Could you go on about {title}, and say something about {term}?",
)
CONTINUED = (
    "What else is there to know about {title}? (part {part})",
    "Could you go on about {title}? (part {part})",
    "Please continue with {title}. (part {part})",
)
SUMMARY = (
    "What are the main points about {title}?",
    "Can you sum up {title} for me?",
    "I have just read about {title}. What should I remember?",
    "What is the short version of {title}?",
)
OPENING = (
    "Could you say more about this? “{sentence}”",
    "I read this and would like to know what is meant: “{sentence}” Can you go on?",
    "“{sentence}” What follows from there?",
)
"""For a text without a title that names a subject."""
LECTURE = (
    "What did the talk “{title}” say? (part {part})",
    "Could you take me through “{title}”? (part {part})",
    "I missed the lecture “{title}”. What was said? (part {part})",
    "Tell me about “{title}”, as you would in a lecture. (part {part})",
)


def ask(phrasings: Sequence[str], seed: str, **names: str) -> str:
    """One of the phrasings with the names filled in; the same seed asks the same question, on every machine."""
    chosen = phrasings[int(digest("question", seed), 16) % len(phrasings)]
    return chosen.format(**names)
