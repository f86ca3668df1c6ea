"""Which checks read every record, which only those that they apply to, and what each of them costs.

| tier | reads | costs |
|---|---|---|
| first | every record: the words are read once for all checks (`checks.apply`) | little for each record |
| second | records that a look at whole columns picks: a category, a class of triage, a word | more for each, on few |
| third | records about which words leave the second unclear (`authenticity.look_again`) | a model, on fewer |

The second and third tier come after triage and the markers, whose columns they pick by. What was spent, and how many
verdicts there were, is kept with each shard, and the report tells it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from pe_ray.corpus.columns import with_verdicts
from pe_ray.corpus.knowledge.facts import Facts
from pe_ray.corpus.quality import appropriateness, authenticity, evidence, prejudice
from pe_ray.record import Verdict

FIRST, SECOND, THIRD = "first", "second", "third"
TIERS = (FIRST, SECOND, THIRD)
ALL = "all checks"
"""What the first tier spends on what its checks share."""


@dataclass
class Meter:
    """CPU seconds and verdicts by tier and check, over the batches of one shard."""

    cpu_s: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    verdicts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    @contextmanager
    def of(self, tier: str, check: str) -> Iterator[Callable[[int], None]]:
        """Time a block; what it gives takes the number of verdicts."""
        began = time.process_time()

        def count(verdicts: int) -> None:
            self.verdicts[tier, check] += verdicts

        yield count
        self.cpu_s[tier, check] += time.process_time() - began

    def rows(self) -> list[list[object]]:
        """[tier, check, CPU seconds, verdicts], as a manifest keeps it."""
        return [[*key, round(self.cpu_s[key], 4), self.verdicts[key]] for key in sorted(self.cpu_s)]


@dataclass(frozen=True)
class Cost:
    """What one check of a tier came to over a corpus."""

    tier: str
    check: str
    cpu_s: float
    verdicts: int

    @property
    def us_per_verdict(self) -> float | None:
        """Microseconds of CPU for each verdict, those spent on looking for records included; None without any."""
        return self.cpu_s * 1e6 / self.verdicts if self.verdicts else None


def apply(table: pa.Table, known: Facts | None = None, meter: Meter | None = None) -> pa.Table:
    """Append the verdicts of the second tier, or of the third where that looked again."""
    meter = meter or Meter()
    by_check: dict[str, dict[int, Verdict]] = {}
    for name, judge in _second(known):
        with meter.of(SECOND, name) as count:
            by_check[name] = judge(table)
            count(len(by_check[name]))
    with meter.of(SECOND, authenticity.NAME) as count:
        by_words, unclear = authenticity.judge(table)
        count(len(by_words))
    with meter.of(THIRD, authenticity.NAME) as count:
        by_emotion = authenticity.look_again(table, by_words, unclear)
        count(len(by_emotion))
    by_check[authenticity.NAME] = by_words | by_emotion
    found: dict[int, list[Verdict]] = defaultdict(list)
    for verdicts in by_check.values():
        for row, verdict in verdicts.items():
            found[row].append(verdict)
    return with_verdicts(table, found) if found else table


def _second(known: Facts | None) -> list[tuple[str, Callable[[pa.Table], dict[int, Verdict]]]]:
    return [
        (appropriateness.NAME, appropriateness.judge),
        (evidence.NAME, lambda table: evidence.judge(table, known)),
        (prejudice.NAME, prejudice.judge),
    ]


def totals(found: Sequence[Cost]) -> list[tuple[str, float, int]]:
    """(tier, CPU seconds, verdicts) over all checks of each tier that was reached."""
    by_tier = [(tier, [c for c in found if c.tier == tier]) for tier in TIERS]
    return [(tier, sum(c.cpu_s for c in own), sum(c.verdicts for c in own)) for tier, own in by_tier if own]


def costs(rows: Sequence[Sequence[object]]) -> list[Cost]:
    """The costs of all shards together, in the order of the tiers."""
    cpu_s: dict[tuple[str, str], float] = defaultdict(float)
    verdicts: dict[tuple[str, str], int] = defaultdict(int)
    for tier, check, seconds, number in rows:
        cpu_s[str(tier), str(check)] += float(str(seconds))
        verdicts[str(tier), str(check)] += int(str(number))
    order = sorted(cpu_s, key=lambda key: (TIERS.index(key[0]), key[1] != ALL, -cpu_s[key], key[1]))
    return [Cost(*key, cpu_s[key], verdicts[key]) for key in order]
