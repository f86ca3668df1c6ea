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
from functools import cache, cached_property
from typing import Any

from pe_ray.safety.gate import Gate
from pe_ray.safety.normalise import fold, normalise
from pe_ray.safety.output import CAREFUL, EXCUSED
from pe_ray.safety.rules import KEEP, Rule, load, read
from pe_ray.safety.triage import TRIAGE_FILES

FOLDER, OUTPUT = "appropriateness", "output"
MUST, MUST_NOT = f"{FOLDER}/must", f"{FOLDER}/must_not"
OUTPUT_WEIGHT = 0.85
"""What a rule of the output filter costs, which has no weight of its own."""
SENTENCE = re.compile(r"[^.?!\n ][^.?!\n]{0,799}[.?!\n]?")
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
SAID_BACK = re.compile(
    r"\b(?:you (?:think|thought|feel|felt|believe|believed|said|say|mention\w*|fear|worry|tell yourself|are told|"
    r"were told)|makes? you (?:feel|think|believe)|tell\w* you|whether|thoughts? that|saying that|a voice that)\b"
    r"[^.?!;,]*$"
)
"""Before an opinion: it is the client's, or somebody else's."""
QUOTED = re.compile(r"“[^“”]{1,400}”|\"[^\"]{1,400}\"")


@dataclass(frozen=True)
class Category:
    """What one kind of difficult moment asks for. Each demand is a set of rules of which one will do."""

    name: str
    must: tuple[frozenset[str], ...]
    should: tuple[frozenset[str], ...]
    must_not: frozenset[str]
    given: float
    """The share of the score that a reply has though it leaves out what is asked for."""
    triage_class: str = ""

    @property
    def sought(self) -> frozenset[str]:
        """Every rule that says something of this category."""
        return self.must_not.union(*self.must, *self.should)


@dataclass(frozen=True)
class Found:
    """The first place of a rule: which text, and which characters of it once it is folded."""

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
    found: tuple[Found, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Sign:
    """One pattern of a rule; compiled at the first text that may hold it, since there are hundreds."""

    rule: Rule
    pattern: str = field(repr=False)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(rf"\b(?:{self.pattern})(?!\w)")


@dataclass(frozen=True)
class Signs:
    """The patterns of some rules, each by itself, and what they cannot do without."""

    gate: Gate
    signs: tuple[Sign, ...]

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> Signs:
        signs = tuple(Sign(rule, pattern) for rule in rules for pattern in rule.patterns)
        return cls(Gate.of(([sign.pattern], sign.rule.needs) for sign in signs), signs)


@cache
def categories() -> Mapping[str, Category]:
    """The categories of `categories.toml`, by name; raises ValueError for one that names no rule."""
    data = tomllib.loads(read(f"{FOLDER}/categories"))
    every = [_full("must_not", name) for name in data["every"]["must_not"]]
    found = {name: _category(name, row, every) for name, row in data["category"].items()}
    known = {r.id for r in load(MUST, MUST_NOT, OUTPUT).rules}
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


def assess(texts: Sequence[str], category: str, *, whole: bool = True, grave: bool = True) -> Finding:
    """Judge all that the helper says in a conversation of this category.

    `whole`: the conversation is all there; of a part, what it leaves out is not held against it. `grave`: somebody may
    be in danger, so that a reply without a single sign of what is asked for gets nothing for it.
    """
    wanted = categories()[category]
    folded = [fold(_own(text)) for text in texts]
    signs = _met(folded, wanted)
    bad = {found.rule.id: found for found in _broken(folded, wanted.must_not)}
    share, missed = _share(wanted, signs, grave) if whole else (1.0, ())
    broken = [bad[name].rule for name in sorted(bad)]
    for rule in broken:
        share *= 1 - (rule.weight or OUTPUT_WEIGHT)
    return Finding(
        round(share, 4),
        tuple(signs[name].rule.name for name in sorted(signs)),
        missed,
        tuple(rule.name for rule in broken),
        (*signs.values(), *bad.values()),
    )


def places(texts: Sequence[str], finding: Finding) -> Iterator[tuple[str, int, int, int]]:
    """(rule, text, start, end) of what was found, in characters of the texts as they were given."""
    read_again = {n: normalise(_own(texts[n])) for n in {found.text for found in finding.found}}
    for found in finding.found:
        yield found.rule.name, found.text, *read_again[found.text].origin(found.start, found.end)


def version() -> str:
    """Version of the rules and categories, for reports."""
    return load(MUST, MUST_NOT, OUTPUT, f"{FOLDER}/categories").version


def _share(wanted: Category, signs: Mapping[str, Found], grave: bool) -> tuple[float, tuple[str, ...]]:
    """The share of what is asked for that has a sign, and what has none."""
    demands = [(d, 2) for d in wanted.must] + [(d, 1) for d in wanted.should]
    missed = tuple("|".join(sorted(d)) for d, _ in demands if not d & signs.keys())
    total = sum(worth for _, worth in demands)
    share = sum(worth for d, worth in demands if d & signs.keys()) / total if total else 1.0
    given = 0.0 if grave and not share else wanted.given
    return given + (1 - given) * share, missed


def _met(texts: Sequence[str], wanted: Category) -> dict[str, Found]:
    """A sign of each demand that has one, by rule; of several signs the first that is come upon."""
    possible: list[tuple[int, Sign]] = []
    known = _signs(MUST)
    for number, text in enumerate(texts):
        possible += ((number, known.signs[i]) for i in known.gate.possible(text))
    found: dict[str, Found] = {}
    for demand in (*wanted.must, *wanted.should):
        if not demand & found.keys():
            for number, sign in possible:
                if sign.rule.id in demand and (match := sign.regex.search(texts[number])):
                    found[sign.rule.id] = Found(sign.rule, number, *match.span())
                    break
    return found


def _broken(texts: Sequence[str], barred: frozenset[str]) -> Iterator[Found]:
    """The first place of each rule that was broken."""
    known, left = _signs(MUST_NOT, OUTPUT), set(barred)
    for number, text in enumerate(texts):
        among = known.gate.narrow(text)
        for sentence in SENTENCE.finditer(text) if among else ():
            for i in known.gate.possible(sentence.group(), among):
                sign = known.signs[i]
                if sign.rule.id in left and (span := _in_sentence(sign, sentence.group())):
                    left.remove(sign.rule.id)
                    yield Found(sign.rule, number, sentence.start() + span[0], sentence.start() + span[1])


def _in_sentence(sign: Sign, words: str) -> tuple[int, int] | None:
    rule = sign.rule
    if not any(need in words for need in rule.needs) or (rule.id in EXCUSED and CAREFUL.search(words)):
        return None
    for match in sign.regex.finditer(words):
        ahead = words[: match.start()]
        if rule.negated != KEEP and DENIED.search(ahead):
            continue
        if (rule.asked != KEEP or rule.group == OUTPUT) and words.endswith("?"):
            continue
        if (rule.negated != KEEP and SAID_BACK.search(ahead)) or (rule.group == OUTPUT and REPORTED.search(ahead)):
            continue
        return match.span()
    return None


@cache
def _signs(*names: str) -> Signs:
    return Signs.of(load(*names).rules)


def _own(text: str) -> str:
    """Without what stands between quotation marks, which is somebody else's sentence; places stay what they are."""
    if '"' not in text and "“" not in text:
        return text
    return QUOTED.sub(lambda m: " " * len(m.group()), text)


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
