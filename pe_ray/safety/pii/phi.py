"""How much is found: a made-up set of notes and posts with known personal data in them, and a finder's score on it.

The set is generated from a seed with Faker, so it holds nobody. It says how the finder does on forms that we thought
of; real text is untidier, and figures from this set are no claim about it. Faker's English names are the finder's own
lists, so the recall of `name` is that of listed names; `name_unlisted` has names that only a cue can find.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pe_ray.safety.pii.lexicon import data
from pe_ray.safety.pii.spans import Span


@dataclass(frozen=True)
class Note:
    """A text, and where which personal data stands in it."""

    text: str = field(repr=False)
    truth: tuple[Span, ...]


@dataclass(frozen=True)
class Score:
    """Of one type: values planted, those of which no character was left; findings, those that touch a planted value."""

    planted: int
    masked: int
    found: int
    right: int

    @property
    def recall(self) -> float:
        return self.masked / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0


def make(per_type: int = 30, seed: int = 7) -> list[Note]:
    """`per_type` notes for each type, and as many hard negatives that hold none."""
    rng = random.Random(seed)
    values = _values(rng, seed)
    templates = data("phi")
    notes = []
    for kind, forms in templates["templates"].items():
        notes += [_note(forms[i % len(forms)], kind, values, rng) for i in range(per_type)]
    negatives = templates["negatives"]["texts"]
    notes += [Note(text, ()) for text in negatives]
    rng.shuffle(notes)
    return notes


def score(found: Sequence[Iterable[Span]], truth: Sequence[Iterable[Span]]) -> dict[str, Score]:
    """Recall and precision by type, over texts in the same order.

    A value counts as masked if findings of whatever type leave no character of it. A finding is right if it touches a
    planted value, of whatever type: what it is called matters less than that it is gone.
    """
    counts: dict[str, Counter[str]] = {}
    for spans, planted in zip(found, truth, strict=True):
        spans, planted = list(spans), list(planted)
        covered = {i for s in spans for i in range(s.start, s.end)}
        for value in planted:
            row = counts.setdefault(value.type, Counter())
            row["planted"] += 1
            row["masked"] += covered.issuperset(range(value.start, value.end))
        for span in spans:
            row = counts.setdefault(span.type, Counter())
            row["found"] += 1
            row["right"] += any(span.overlaps(v.start, v.end) for v in planted)
    keys = ("planted", "masked", "found", "right")
    return {kind: Score(*(row[k] for k in keys)) for kind, row in sorted(counts.items())}


def table(scores: dict[str, Score]) -> str:
    """The scores as lines of text."""
    rows = [f"{'type':<16}{'planted':>8}{'masked':>8}{'recall':>8}{'found':>8}{'right':>8}{'precision':>11}"]
    for kind, s in scores.items():
        rows.append(
            f"{kind:<16}{s.planted:>8}{s.masked:>8}{s.recall:>8.3f}{s.found:>8}{s.right:>8}{s.precision:>11.3f}"
        )
    return "\n".join(rows)


def _note(form: str, kind: str, values: dict[str, Callable[[], str]], rng: random.Random) -> Note:
    """A template with its blanks filled: "{phone}" becomes a number, and its place is noted."""
    pieces: list[str] = []
    truth, length, start = [], 0, 0
    for blank in re.finditer(r"\{(\w+)\}", form):
        before, value = form[start : blank.start()], values[blank.group(1)]()
        length += len(before)
        truth.append(Span(length, length + len(value), blank.group(1).removesuffix("_uk").removesuffix("_full")))
        length += len(value)
        pieces += [before, value]
        start = blank.end()
    return Note("".join([*pieces, form[start:]]), tuple(truth))


def _values(rng: random.Random, seed: int) -> dict[str, Callable[[], str]]:
    from faker import Faker

    make_faker: Any = Faker  # its attributes are made at run time
    us, uk = make_faker("en_US"), make_faker("en_GB")
    us.seed_instance(seed)
    uk.seed_instance(seed)
    words = data("phi")["words"]

    def digits(num: int) -> str:
        return "".join(rng.choices("0123456789", k=num))

    forms = ("%m/%d/%Y", "%B %d, %Y", "%d %B %Y", "%Y-%m-%d", "%m/%d/%y")
    return {
        "name": lambda: rng.choice((us, uk)).first_name(),
        "name_full": lambda: f"{(f := rng.choice((us, uk))).first_name()} {f.last_name()}",
        "family": lambda: rng.choice((us, uk)).last_name(),
        "name_unlisted": lambda: f"{rng.choice(words['given'])} {rng.choice(words['family'])}",
        "phone": lambda: rng.choice(("({}) {}-{}", "{}-{}-{}", "{} {} {}", "+1 {} {} {}")).format(
            rng.randint(201, 799), rng.randint(201, 989), digits(4)
        ),
        "phone_uk": lambda: rng.choice(
            (
                f"+44 20 7{digits(3)} {digits(4)}",
                f"07{rng.randint(400, 599)} {digits(6)}",
                f"0161 {digits(3)} {digits(4)}",
            )
        ),
        "email": us.free_email,
        "url": lambda: rng.choice(
            (
                us.url() + us.user_name(),
                f"www.{us.domain_name()}/{us.user_name()}",
                f"https://social.net/{us.user_name()}",
            )
        ),
        "username": lambda: f"@{us.user_name()}",
        "ip": lambda: us.ipv4_public() if rng.random() < 0.6 else us.ipv6(),
        "mac": us.mac_address,
        "ssn": us.ssn,
        "card": lambda: us.credit_card_number(card_type=rng.choice(("visa16", "mastercard", "amex", "discover"))),
        "iban": uk.iban,
        "address": lambda: f"{rng.randint(1, 9999)} {us.last_name()} {rng.choice(words['street'])}",
        "zip": us.zipcode,
        "zip_uk": uk.postcode,
        "birth_date": lambda: us.date_of_birth(minimum_age=18, maximum_age=80).strftime(rng.choice(forms)),
        "record_number": lambda: rng.choice((digits(8), f"A{digits(7)}", f"{digits(3)}-{digits(5)}")),
        "id_document": lambda: rng.choice((digits(9), f"X{digits(7)}", f"D{digits(3)}-{digits(4)}-{digits(4)}")),
        "vehicle": lambda: us.license_plate() if rng.random() < 0.5 else f"{rng.randint(1, 9)}KLM{digits(3)}",
    }
