"""Questionnaires as data: how they are scored, what a change means, and who says so.

The wording of the items is not shipped; answers come as numbers in the instrument's own order. A clinic may prefer
other figures: a row here is all that has to change, and its `sources` go into every report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pe_ray.errors import UserError


@dataclass(frozen=True)
class Instrument:
    """One questionnaire. All scores here fall when things get better."""

    id: str
    name: str
    version: str
    num_items: int
    max_item: int
    bands: tuple[tuple[int, str], ...]
    """Least total and name of each severity band, lowest first."""
    caseness: int
    """Least total that counts as a case."""
    reliable_change: float
    """Change of the total that measurement error alone seldom makes."""
    sem: float
    """Standard error of measurement of the total."""
    attention: Mapping[int, str] = field(default_factory=dict)
    """Items (counted from 1) of which any answer above 0 asks for a look by a person, and the rule that says so."""
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def max_total(self) -> int:
        """The highest total."""
        return self.num_items * self.max_item

    def band(self, total: int) -> str:
        """Severity band of a total."""
        return next(name for least, name in reversed(self.bands) if total >= least)

    def score(self, items: Sequence[int]) -> int:
        """The total of one set of answers. Raises UserError for a wrong count or an answer out of range."""
        if len(items) != self.num_items:
            raise UserError(f"items: {len(items)} answers; {self.id} has {self.num_items}")
        for place, answer in enumerate(items, 1):
            if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer <= self.max_item:
                raise UserError(f"items[{place}]: an answer to {self.id} is a whole number from 0 to {self.max_item}")
        return sum(items)

    def flags(self, items: Sequence[int]) -> list[str]:
        """Rules that ask for a look by a person. That there is none proves nothing."""
        return [rule for place, rule in self.attention.items() if items[place - 1] > 0]


_NHS = "NHS Talking Therapies manual: reliable change and caseness"

INSTRUMENTS: Mapping[str, Instrument] = {
    "phq9": Instrument(
        id="phq9",
        name="PHQ-9 (depression)",
        version="1",
        num_items=9,
        max_item=3,
        bands=((0, "minimal"), (5, "mild"), (10, "moderate"), (15, "moderately severe"), (20, "severe")),
        caseness=10,
        reliable_change=6,
        sem=2.44,
        attention={9: "phq9-item9@1"},
        sources={
            "bands": "Kroenke, Spitzer, Williams 2001",
            "caseness": _NHS,
            "reliable_change": _NHS,
            "sem": "SD 6.1 x sqrt(1 - .84), Kroenke, Spitzer, Williams 2001 (test-retest .84)",
            "attention": "item 9 asks about thoughts of death or self-harm; any answer above 0 needs direct questions",
        },
    ),
    "gad7": Instrument(
        id="gad7",
        name="GAD-7 (anxiety)",
        version="1",
        num_items=7,
        max_item=3,
        bands=((0, "minimal"), (5, "mild"), (10, "moderate"), (15, "severe")),
        caseness=8,
        reliable_change=4,
        sem=2.02,
        sources={
            "bands": "Spitzer, Kroenke, Williams, Lowe 2006",
            "caseness": _NHS,
            "reliable_change": f"{_NHS}; Bischoff et al. 2020 find 6",
            "sem": "5.59 / (1.96 x sqrt 2), from the unrounded index of Bischoff, Anderson, Heafner, Tambling 2020",
        },
    ),
}


def find(id: str) -> Instrument:
    """The instrument of that id. Raises UserError, naming those there are."""
    if id not in INSTRUMENTS:
        raise UserError(f"instrument: unknown; known are {', '.join(INSTRUMENTS)}")
    return INSTRUMENTS[id]
