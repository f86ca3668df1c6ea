"""How grave is what a person has just said? Rules, a small model where they are silent, and the conversation.

    assess("I have a plan to kill myself tonight").level == 4

| level | meaning | what serving does |
|---|---|---|
| 0 | nothing found | an ordinary reply |
| 1 | distress, or a grave matter that is past or another's | an ordinary reply; resources beside it |
| 2 | possible or passive danger | one direct question and a resource in the reply |
| 3 | active danger | the safe reply, no model |
| 4 | danger now | the emergency reply, no model |

Level 4 is the rules' alone. Where they find less, a small model (`danger.py`) may raise a message to 2, by itself or
because signs gather over the turns, and to 3 where it is very sure; it never lowers anything, and what it alone has
raised is not remembered as a danger. All of it reads English, misses much of what is only hinted at
(`docs/models/crisis.md`), and has been tried by nobody on people in danger.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from itertools import pairwise
from operator import or_

from pe_ray.safety import context, danger
from pe_ray.safety.gate import Gate, Sieve, allowed
from pe_ray.safety.normalise import fold, normalise
from pe_ray.safety.rules import KEEP, TRIAGE_FILES, Combination, Rule, RuleSet, any_of, load, words

LAST_TURNS = 4
"""Turns of the conversation over which weak signals add up."""
MAX_HISTORY = 40
KEPT_READINGS = 512
SLOW_TURNS, SLOW_SIGNS = 8, 4
"""So many of the last turns with a sign of danger, each too weak by itself, are a possible danger."""
CALM_TURNS = 3
"""Calm turns, after a denial, that take an active state down to 2; never lower within one conversation."""

_TALK = words()["conversation"]
ASKED, YES, DENIAL = (any_of(_TALK[name]) for name in ("asked", "yes", "denial"))
MAY_ASK = Sieve.of(_TALK["asked"])
SENTENCE_END = re.compile(r"[.?!\n][.?!\n ]*")


@dataclass(frozen=True)
class Sticky:
    """What a conversation remembers of its danger; a message raises it at once and only a denial and calm lower it."""

    level: int = 0
    calm: int = 0
    denied: bool = False
    turns: int = 0
    """Messages answered at level 2 or more so far."""
    classes: tuple[str, ...] = ()
    """What they were about, gravest first."""

    def after(self, level: int, classes: tuple[str, ...], denies: bool) -> Sticky:
        """The state after a message of this level."""
        if level >= 2:
            known = (*classes, *(c for c in self.classes if c not in classes))
            return Sticky(max(self.level, level), 0, False, self.turns + 1, known)
        if self.level < 2:
            return self
        calm, denied = self.calm + 1, self.denied or denies
        released = self.level > 2 and denied and calm >= CALM_TURNS
        return Sticky(2 if released else self.level, calm, denied, self.turns + 1, self.classes)

    def asked_about(self) -> Sticky:
        """The state after a message that was answered at level 2 for its resemblance alone."""
        return replace(self, turns=self.turns + 1)


@dataclass(frozen=True)
class Assessment:
    """What triage found in one message and its conversation. It holds no word of either."""

    level: int
    classes: tuple[str, ...]
    """Gravest first."""
    rules: tuple[str, ...]
    """`id@version` of what matched in this message; `state.sticky@1` where the conversation holds the level up."""
    spans: tuple[tuple[int, int], ...]
    """Where it matched, in characters of the message as it was given."""
    state: Sticky = field(default=Sticky(), repr=False)
    about_other: bool = False
    """Whether all that gives this message its level was said of somebody else."""


NOTHING = Assessment(0, (), (), ())


@dataclass(frozen=True)
class _Hit:
    rule: Rule | Combination
    level: int
    sentence: int
    signals: tuple[str, ...]
    span: tuple[int, int]
    denied: bool = False
    other: bool = False


@dataclass(frozen=True)
class _Reading:
    """One message by itself."""

    hits: tuple[_Hit, ...]
    denies: bool
    sign: danger.Sign | None = None
    """What the model says; it is asked only where the rules found less than 3."""

    @property
    def explained(self) -> bool:
        """Whether a rule has found words of danger and the context that takes it away: the model knows no context."""
        return any(h.rule.level >= 2 and h.level < 2 for h in self.hits)

    @property
    def weak(self) -> bool:
        """Whether the message counts when signs gather."""
        return self.sign is not None or self.level >= 2 or any("hint" in h.signals for h in self.hits)

    @property
    def level(self) -> int:
        return max((h.level for h in self.hits), default=0)

    def classes(self, least: int = 1) -> tuple[str, ...]:
        """Classes found at this level or above, gravest first."""
        grave = {h.rule.group: h.level for h in sorted(self.hits, key=lambda h: h.level) if h.level >= least}
        return tuple(sorted(grave, key=lambda c: (-grave[c], TRIAGE_FILES.index(c))))


CALM = _Reading((), False)
_READINGS: dict[bytes, _Reading] = {}


def assess(
    text: str, *, role: str = "user", history: Sequence[str] = (), asked: str = "", before: Sticky | None = None
) -> Assessment:
    """Judge one message.

    `history` holds the person's own earlier messages, oldest first; `asked` the assistant's last turn, so that a bare
    "yes" to a direct question is heard; `before` the remembered state where the earlier messages are not at hand. Text
    of any other role than user is nobody's disclosure and gives level 0.
    """
    if role != "user":
        return NOTHING
    earlier = [_read(t) for t in history[-MAX_HISTORY:]]
    return _judge(_read(text), text, asks(asked), earlier, _remember(earlier, before or Sticky()))


def follow(said: Iterable[tuple[str, bool]]) -> Iterator[Assessment]:
    """Judge a conversation from its beginning, each message as `assess` would with all that stood before it.

    `said` holds the person's messages, and whether the assistant's turn before each `asks` about suicide.
    """
    return iter(follow_all([list(said)])[0])


def follow_all(conversations: Sequence[Sequence[tuple[str, bool]]]) -> list[list[Assessment]]:
    """`follow` for many conversations, with one look of the model at all that the rules left open."""
    texts = [text for said in conversations for text, _ in said]
    readings = iter(_read_all(texts))
    return [list(_follow([(text, asked, next(readings)) for text, asked in said])) for said in conversations]


def _follow(said: Iterable[tuple[str, bool, _Reading]]) -> Iterator[Assessment]:
    earlier: list[_Reading] = []
    state = Sticky()
    for text, asked, reading in said:
        yield _judge(reading, text, asked, earlier, state)
        earlier = [*earlier, reading][-MAX_HISTORY:]
        state = _remember([reading], state) if len(earlier) < MAX_HISTORY else _remember(earlier, Sticky())


def asks(text: str) -> bool:
    """Whether a turn of the assistant asks outright about suicide."""
    folded = fold(text)
    return MAY_ASK.passes(folded) and ASKED.search(folded) is not None


def version() -> str:
    """Version of the triage rules and of the model, for cache keys and reports."""
    return f"{load(*TRIAGE_FILES).version}.{danger.version()}"


def _judge(reading: _Reading, text: str, asked: bool, earlier: Sequence[_Reading], state: Sticky) -> Assessment:
    """The last message of a conversation: `earlier` readings, and the `state` after them."""
    answered = _answer(reading, text, asked)
    added = tuple(_combine(load(*TRIAGE_FILES), [*earlier, answered][-LAST_TURNS:]))
    whole = replace(answered, hits=(*answered.hits, *added)) if added else answered
    after = _remember([whole], state)
    raised = _resembles(whole, text, earlier)
    if raised is None:
        return _assessment(whole, after)
    return _assessment(replace(whole, hits=(*whole.hits, raised)), after if whole.level >= 2 else after.asked_about())


def _resembles(reading: _Reading, text: str, earlier: Sequence[_Reading]) -> _Hit | None:
    """What the model adds to a message in which the rules found less."""
    if reading.sign is None:
        return None
    name, level = ("model.grave" if reading.sign.level > 2 else "model.danger"), reading.sign.level
    if not level:
        lately = [r for r in [*earlier, reading][-SLOW_TURNS:] if r.weak]
        name, level = "model.gathering", 2 if len(lately) >= SLOW_SIGNS else 0
    if level <= reading.level:
        return None
    return _Hit(Rule(name, reading.sign.group, level, ()), level, 0, (), (0, len(text)))


def _remember(readings: Iterable[_Reading], state: Sticky) -> Sticky:
    for turn in readings:
        state = state.after(turn.level, turn.classes(least=2), turn.denies)
    return state


def _assessment(reading: _Reading, state: Sticky) -> Assessment:
    if not reading.hits and not state.level:
        return Assessment(0, (), (), (), state)
    counted = sorted((h for h in reading.hits if h.level > 0), key=lambda h: -h.level)
    names = list(dict.fromkeys(h.rule.name for h in counted))
    classes = list(reading.classes())
    if state.level > reading.level:
        names.append("state.sticky@1")
        classes = list(dict.fromkeys((*state.classes, *classes)))
    spans = tuple(dict.fromkeys(h.span for h in counted))
    gravest = [h for h in counted if h.level == reading.level]
    other = bool(gravest) and state.level <= reading.level and all(h.other for h in gravest)
    return Assessment(max(reading.level, state.level), tuple(classes), tuple(names), spans, state, other)


def _read(text: str) -> _Reading:
    """Read one message; conversations repeat theirs, so readings are kept, under a digest and never the words."""
    key = hashlib.sha256(load(*TRIAGE_FILES).version.encode() + text.encode("utf-8", "surrogatepass")).digest()
    if (known := _READINGS.get(key)) is not None:
        return known
    if len(_READINGS) >= KEPT_READINGS:
        _READINGS.pop(next(iter(_READINGS)), None)
    return _READINGS.setdefault(key, _read_all([text])[0])


def _read_all(texts: Sequence[str]) -> list[_Reading]:
    """The rules read every message, and the model those in which they found less than 3."""
    read = [_read_anew(text) for text in texts]
    readings = [reading for reading, _ in read]
    left = [n for n, reading in enumerate(readings) if reading.level < 3 and not reading.explained]
    for n, sign in zip(left, danger.read([read[n][1] for n in left]), strict=True):
        if sign is not None:
            readings[n] = replace(readings[n], sign=sign)
    return readings


@dataclass(frozen=True)
class _Watch:
    """All that is looked for in a message, behind one gate: its words are looked up once."""

    gate: Gate
    rules: RuleSet
    idioms: tuple[Rule, ...]


@cache
def _watch() -> _Watch:
    rules, idioms = load(*TRIAGE_FILES), load("idioms").rules
    told = [(r.patterns, r.needs) for r in (*rules.rules, *idioms)]
    return _Watch(Gate.of([*told, (_TALK["denial"], ())]), rules, idioms)


def _read_anew(text: str) -> tuple[_Reading, str]:
    """What the rules find, and what is left for the model: the text without its figures of speech."""
    watch = _watch()
    plain = fold(text)
    sentences = _sentences(plain)
    masks = [watch.gate.read(s) for _, s in sentences]
    likely = watch.gate.narrow(plain, reduce(or_, masks, 0))
    num_rules, numbers = len(watch.rules.rules), {number for _, number in likely}
    masked = _mask_idioms(plain, [rule for n, rule in enumerate(watch.idioms, num_rules) if n in numbers])
    rest = text if masked == plain else masked.replace("_", "")
    denies = num_rules + len(watch.idioms) in numbers and DENIAL.search(masked) is not None
    among = [pattern for pattern in likely if pattern[1] < num_rules]
    if not among:
        return (_Reading((), True) if denies else CALM), rest
    if masked != plain:
        sentences = _sentences(masked)
        masks = [watch.gate.read(s) for _, s in sentences]
    possible = ((i, allowed(among, mask)) for i, mask in enumerate(masks))
    hits = [
        hit
        for i, numbers in possible
        if numbers
        for hit in _sentence_hits(i, sentences, watch.rules.needed(sentences[i][1], numbers))
    ]
    if hits:
        folded = normalise(text)  # tells where the words stood
        hits = [replace(h, span=folded.origin(*h.span)) for h in hits]
        hits += _near(watch.rules, hits)
    return _Reading(tuple(hits), denies or any(h.denied for h in hits)), rest


def _sentences(text: str) -> list[tuple[int, str]]:
    """(offset, sentence) of normalised text."""
    bounds = [0, *(m.end() for m in SENTENCE_END.finditer(text)), len(text)]
    parts = [(start, text[start:end]) for start, end in pairwise(bounds)]
    return [(start, part) for start, part in parts if part and not part.isspace()]


def _sentence_hits(i: int, sentences: Sequence[tuple[int, str]], likely: Sequence[Rule]) -> Iterator[_Hit]:
    """What these rules find in one sentence; spans count characters of the folded text."""
    if not likely:
        return
    offset, sentence = sentences[i]
    before = " ".join(s for _, s in sentences[max(0, i - 2) : i])
    after = sentences[i + 1][1] if i + 1 < len(sentences) else ""
    known: context.Setting | None = None
    for rule in likely:
        for m in rule.regex.finditer(sentence):
            known = known or context.setting(sentence, before, after)
            around = context.read(sentence, m.start(), m.end(), before, after, known)
            level = _level(rule, around)
            span = (offset + m.start(), offset + m.end())
            denied = around.negated and rule.negated == 0 and rule.level >= 2
            yield _Hit(rule, level, i, _signals(rule, around), span, denied, around.subject == "other")


def _level(rule: Rule, around: context.Context) -> int:
    level = rule.level
    for holds, cap in (
        (around.negated, rule.negated),
        (around.past, rule.past),
        (around.subject == "other", rule.other),
        (around.subject == "none", rule.bare),
        (around.fiction and around.subject != "self", rule.fiction),
    ):
        level = min(level, cap) if holds else level
    return level


def _signals(rule: Rule, around: context.Context) -> tuple[str, ...]:
    """The rule's signals; another person's carry a prefix, and what is denied, past or a story gives none."""
    if (around.negated and rule.negated != KEEP) or (around.past and rule.past != KEEP):
        return ()
    if around.subject == "other" and rule.other != KEEP:
        return () if around.fiction else tuple(f"other.{s}" for s in rule.signals)
    return () if around.fiction and around.subject != "self" and rule.fiction != KEEP else rule.signals


def _near(rules: RuleSet, hits: Sequence[_Hit]) -> list[_Hit]:
    """Combinations inside one message: signals in the same or in adjacent sentences."""
    given = {signal for hit in hits for signal in hit.signals}
    likely = [c for c in rules.combinations if c.near and given.issuperset(c.all)]
    found = []
    for combination in likely:
        for hit in hits:
            if combination.all[0] not in hit.signals:
                continue
            if _all_present(combination.all, [h for h in hits if abs(h.sentence - hit.sentence) <= 1]):
                found.append(_Hit(combination, combination.level, hit.sentence, (), hit.span))
                break
    return found


def _combine(rules: RuleSet, readings: Sequence[_Reading]) -> Iterator[_Hit]:
    """Combinations over the last turns; something of this message must take part."""
    hits = [h for r in readings for h in r.hits]
    current = {s for h in readings[-1].hits for s in h.signals}
    if not current:
        return
    for combination in (c for c in rules.combinations if not c.near):
        if current.intersection(combination.all) and _all_present(combination.all, hits):
            yield _Hit(combination, combination.level, 0, (), (0, 0))


def _all_present(wanted: Sequence[str], hits: Sequence[_Hit]) -> bool:
    """Whether each wanted signal is given, by as many different rules as it is listed."""
    for signal in set(wanted):
        givers = {h.rule.id for h in hits if signal in h.signals}
        if len(givers) < wanted.count(signal):
            return False
    return True


def _answer(reading: _Reading, text: str, asked: bool) -> _Reading:
    """A yes to a direct question about suicide is a disclosure of its own."""
    if not asked or reading.level >= 3 or not YES.search(fold(text)):
        return reading
    rule = Rule("suicide.answer_yes", "suicide_self_harm", 3, (), signals=("active",))
    return replace(reading, hits=(*reading.hits, _Hit(rule, 3, 0, rule.signals, (0, len(text)))))


def _mask_idioms(text: str, idioms: Sequence[Rule]) -> str:
    """These figures of speech as underscores of the same length, so that no rule sees them."""
    for rule in idioms:
        if any(map(text.__contains__, rule.needs)):
            text = rule.regex.sub(lambda m: "_" * len(m.group()), text)
    return text
