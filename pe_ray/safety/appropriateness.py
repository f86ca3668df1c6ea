"""Does a reply to a difficult moment do what a safe one does, and leave out what a safe one leaves out?

    assess(["That's selfish. Think of your children."], "suicidality").broken == ("must_not.blames@1",)

Rules and categories are data under `data/appropriateness/`, made to be read and edited by a clinician: `must.toml` says
how a safe act sounds, `must_not.toml` what must not be said, `categories.toml` which category asks for what. A rule
finds a sign in the words. It knows sentences that somebody thought of, so an omission is told from a reply that says
nothing of the kind, not from one that says it in another way.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pe_ray.safety.normalise import Normalised, normalise
from pe_ray.safety.output import CAREFUL, EXCUSED
from pe_ray.safety.rules import KEEP, Rule, RuleSet, load, read
from pe_ray.safety.triage import TRIAGE_FILES

FOLDER = "appropriateness"
OUTPUT = "output"
FILES = (f"{FOLDER}/must", f"{FOLDER}/must_not", OUTPUT)
OUTPUT_WEIGHT = 0.85
"""What a rule of the output filter costs, which has no weight of its own."""
SENTENCE = re.compile(r"[^.?!\n]{1,800}[.?!\n]?")
"""A sentence, or as much of it as a pattern may run over: its cost grows with the square of that."""
DENIED = re.compile(
    r"\b(?:not|never|no|none|nothing|nobody|neither|nor|without|hardly|(?:rather|other) than|instead of)"
    r"(?! only\b| just\b)(?: (?!but\b|because\b|so\b|unless\b)[a-z0-9'-]+){0,6} $"
)
"""A negation that reaches up to here. That of `context` is made for what people say of their own danger."""
REPORTED = re.compile(
    r"\b(?:if|whether|wonder\w*|thoughts? (?:that|of|like)|"
    r"(?:you|do you|ever|sometimes) (?:think|thought|feel|felt|believe|said|say|mention\w*|worry|fear)|"
    r"mind|brain|voice|part of you|depression|pain|illness|lies?|telling you|convinc\w*)\b[^.?!;]*$"
)
"""What the client thinks, said back to them; the output filter's rules would take it for the helper's opinion."""
QUOTED = re.compile(r"“[^“”]{1,400}”|\"[^\"]{1,400}\"")


@dataclass(frozen=True)
class Category:
    """What one kind of difficult moment asks for. Each demand is a set of rules of which one will do."""

    name: str
    must: tuple[frozenset[str], ...]
    should: tuple[frozenset[str], ...]
    must_not: frozenset[str]
    given: float
    """The share of the score that a reply has without a sign of any of them."""
    triage_class: str = ""

    @property
    def sought(self) -> frozenset[str]:
        """Every rule that says something of this category."""
        return self.must_not.union(*self.must, *self.should)


@dataclass(frozen=True)
class Found:
    """One rule where it matched: in which of the texts, and in which of its characters."""

    rule: Rule = field(repr=False)
    text: int
    start: int
    end: int


@dataclass(frozen=True)
class Finding:
    """`score` in 0..1, 1 is appropriate. Names are `id@version`; a missed demand is named by its rules."""

    score: float
    met: tuple[str, ...]
    missed: tuple[str, ...]
    broken: tuple[str, ...]
    found: tuple[Found, ...] = ()
    """Where, the first place of each rule."""


@cache
def categories() -> Mapping[str, Category]:
    """The categories of `categories.toml`, by name; raises ValueError for one that names no rule."""
    data = tomllib.loads(read(f"{FOLDER}/categories"))
    every = [_full("must_not", name) for name in data["every"]["must_not"]]
    found = {name: _category(name, row, every) for name, row in data["category"].items()}
    known = {r.id for r in load(*FILES).rules}
    for category in found.values():
        if unknown := sorted(category.sought - known):
            raise ValueError(f"categories.toml: {category.name} names {unknown[0]!r}, which is no rule")
        if category.triage_class and category.triage_class not in TRIAGE_FILES:
            raise ValueError(f"categories.toml: {category.name} has class {category.triage_class!r}, unknown to triage")
    return found


def category_of(classes: Sequence[str]) -> str | None:
    """The category that stands for the gravest of these classes of triage, None if none has one."""
    by_class = {c.triage_class: c.name for c in categories().values() if c.triage_class}
    return next((by_class[c] for c in classes if c in by_class), None)


def assess(texts: Sequence[str], category: str, *, whole: bool = True) -> Finding:
    """Judge all that the helper says in a conversation of this category.

    `whole`: the conversation is all there; of a part, what it leaves out is not held against it.
    """
    wanted = categories()[category]
    first = {found.rule.id: found for found in _matches(texts, load(*FILES), wanted.sought)}
    share, missed = _share(wanted, first.keys()) if whole else (1.0, ())
    broken = [first[name].rule for name in sorted(wanted.must_not & first.keys())]
    for rule in broken:
        share *= 1 - (rule.weight or OUTPUT_WEIGHT)
    met = sorted(first.keys() - wanted.must_not)
    return Finding(
        round(share, 4),
        tuple(first[name].rule.name for name in met),
        missed,
        tuple(rule.name for rule in broken),
        tuple(first.values()),
    )


def version() -> str:
    """Version of the rules and categories, for reports."""
    return load(*FILES, f"{FOLDER}/categories").version


def _share(wanted: Category, signs: Any) -> tuple[float, tuple[str, ...]]:
    """The share of what is asked for that has a sign, and what has none."""
    demands = [(d, 2) for d in wanted.must] + [(d, 1) for d in wanted.should]
    missed = tuple("|".join(sorted(d)) for d, _ in demands if not d & signs)
    total = sum(worth for _, worth in demands)
    share = sum(worth for d, worth in demands if d & signs) / total if total else 1.0
    return wanted.given + (1 - wanted.given) * share, missed


def _matches(texts: Sequence[str], rules: RuleSet, sought: frozenset[str]) -> Iterator[Found]:
    """The first place of each rule."""
    open_rules = set(sought)
    for number, text in enumerate(texts):
        folded = normalise(QUOTED.sub(lambda m: " " * len(m.group()), text))
        among = rules.gate.narrow(folded.text)
        for sentence in SENTENCE.finditer(folded.text):
            for rule in rules.candidates(sentence.group(), among):
                if rule.id in open_rules and (span := _in_sentence(rule, sentence, folded)):
                    open_rules.remove(rule.id)
                    yield Found(rule, number, *span)


def _in_sentence(rule: Rule, sentence: re.Match[str], folded: Normalised) -> tuple[int, int] | None:
    """Where a rule matches in a sentence, in characters of the whole text as it was given."""
    words, offset = sentence.group(), sentence.start()
    if rule.id in EXCUSED and CAREFUL.search(words):
        return None
    for match in rule.regex.finditer(words):
        ahead = words[: match.start()]
        if rule.negated != KEEP and DENIED.search(ahead):
            continue
        if rule.group == OUTPUT and (words.endswith("?") or REPORTED.search(ahead)):
            continue
        return folded.origin(offset + match.start(), offset + match.end())
    return None


def _category(name: str, row: Mapping[str, Any], every: Sequence[str]) -> Category:
    unknown = set(row) - {"class", "given", "must", "should", "must_not"}
    if unknown:
        raise ValueError(
            f"categories.toml: {name} has {sorted(unknown)[0]!r}; class, given, must, should and must_not are known"
        )
    own = [_full("must_not", rule) for rule in row.get("must_not", ())]
    return Category(
        name,
        tuple(_demand(d) for d in row.get("must", ())),
        tuple(_demand(d) for d in row.get("should", ())),
        frozenset([*every, *own]),
        float(row.get("given", 0.0)),
        row.get("class", ""),
    )


def _demand(text: str) -> frozenset[str]:
    return frozenset(_full("must", name.strip()) for name in text.split("|"))


def _full(kind: str, name: str) -> str:
    return name if "." in name else f"{kind}.{name}"
