"""How many records of each source, and which: exact shares of the largest corpus that the sources can fill.

`share_out` gives the counts, `choose` the records. Counts are exact by largest remainder; records are taken by the rank
of their hash, so the choice depends on ids alone, not on the order of reading.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pe_ray.config import CorpusConfig
from pe_ray.record import digest


@dataclass(frozen=True)
class Balance:
    """Rows to take by source (copies included), which sources could not fill their share, and why it is not enough."""

    counts: Mapping[str, int]
    short: tuple[str, ...] = ()
    problem: str | None = None


def share_out(available: Mapping[str, int], config: CorpusConfig) -> Balance:
    """Counts by source for what is available after all checks.

    The size is the largest for which no source falls short of its share, at most `max_records`. If that is less than
    `min_records`, `on_shortage` decides: `fail` says so in `problem`; `renormalise` lets the scarcest source give all
    it has and shares the rest out over the others, source by source, until there are enough; `repeat` takes records of
    short sources up to `max_repeat` times, as often as `min_records` needs. A source without a target gives nothing.
    """
    have = {s: available.get(s, 0) for s in config.targets}
    size = largest_size(have, config.targets, config.max_records)
    if size >= demand(config):
        return Balance(exact_counts(size, config.targets))
    if config.on_shortage == "renormalise":
        found = _renormalise(have, config)
    elif config.on_shortage == "repeat":
        found = _repeat(have, config)
    else:
        found = Balance(exact_counts(size, config.targets), _short(have, config))
    got = sum(found.counts.values())
    if got >= demand(config):
        return found
    return Balance(found.counts, found.short, _problem(got, have, config))


def demand(config: CorpusConfig) -> int:
    """Fewest records that are accepted: `min_records`, or all that may be kept if that is less."""
    return min(config.min_records, config.max_records)


def exact_counts(size: int, targets: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to `size`, each within one of its share (largest remainder; ties by name)."""
    total = math.fsum(targets.values())
    exact = {s: size * t / total for s, t in targets.items()}
    counts = {s: math.floor(e + 1e-9) for s, e in exact.items()}
    left = size - sum(counts.values())
    for source in sorted(targets, key=lambda s: (-round(exact[s] - counts[s], 9), s))[:left]:
        counts[source] += 1
    return counts


def largest_size(have: Mapping[str, int], targets: Mapping[str, float], at_most: int) -> int:
    """The largest size whose exact counts every source can fill.

    More rows can need fewer of one source (largest remainder is not monotone), so sizes are tried downwards from one
    that is surely too large.
    """
    bound = min((math.floor((have[s] + 1) / t) for s, t in targets.items()), default=0)
    size = min(at_most, sum(have.values()), max(0, bound))
    while size and any(n > have[s] for s, n in exact_counts(size, targets).items()):
        size -= 1
    return size


def choose(ids: pa.Array | pa.ChunkedArray, wanted: int, cells: Sequence[str] | None = None) -> NDArray[np.int32]:
    """Copies of each record of a source, `wanted` in all: smallest hash first, twice only after all were taken once.

    With `cells` (a name for each record) as many are taken from each cell as from any other that is not used up.
    """
    num = len(ids)
    copies = np.zeros(num, np.int32)
    if not num:
        return copies
    rounds, rest = divmod(wanted, num)
    copies += rounds
    rank = hash_rank(ids)
    for rows, count in _by_cell(cells, rest) if cells is not None else [(np.arange(num), rest)]:
        copies[rows[np.argsort(rank[rows], kind="stable")[:count]]] += 1
    return copies


def hash_rank(ids: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """A number for each id by which records are taken: it looks random, and is the same in every run."""
    return np.array([int(digest("balance", i)[:16], 16) for i in ids.to_pylist()], np.uint64)


def even_counts(have: Mapping[str, int], size: int) -> dict[str, int]:
    """`size` shared out over cells as evenly as what they have allows; ties by name."""
    counts, left = {}, min(size, sum(have.values()))
    for number, cell in enumerate(sorted(have, key=lambda c: (have[c], c))):  # the scarcest give all they have
        counts[cell] = min(have[cell], left // (len(have) - number))
        left -= counts[cell]
    return counts


def _by_cell(cells: Sequence[str], size: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for row, cell in enumerate(cells):
        members[cell].append(row)
    counts = even_counts({cell: len(rows) for cell, rows in members.items()}, size)
    for cell, rows in members.items():
        yield np.array(rows, np.int64), counts[cell]


def _renormalise(have: Mapping[str, int], config: CorpusConfig) -> Balance:
    open_targets = dict(config.targets)
    given: dict[str, int] = {}
    while open_targets:
        # one source alone has no proportion to keep: it gives what is still asked for, and does not drown the others
        most = config.max_records if len(open_targets) > 1 else demand(config)
        left = max(0, most - sum(given.values()))
        size = largest_size({s: have[s] for s in open_targets}, _scaled(open_targets), left)
        counts = given | exact_counts(size, open_targets)
        if sum(counts.values()) >= demand(config) or len(open_targets) == 1:
            return Balance({s: counts[s] for s in config.targets}, _short(have, config))
        scarcest = min(open_targets, key=lambda s: (have[s] / open_targets[s], s))
        given[scarcest] = min(have[scarcest], left)
        del open_targets[scarcest]
    return Balance(dict.fromkeys(config.targets, 0))


def _repeat(have: Mapping[str, int], config: CorpusConfig) -> Balance:
    repeated = {s: n * config.max_repeat for s, n in have.items()}
    size = largest_size(repeated, config.targets, demand(config))
    counts = exact_counts(size, config.targets)
    return Balance(counts, tuple(s for s, n in counts.items() if n > have[s]))


def _scaled(targets: Mapping[str, float]) -> dict[str, float]:
    """The targets of some sources, made to sum to 1."""
    total = math.fsum(targets.values())
    return {s: t / total for s, t in targets.items()}


def _short(have: Mapping[str, int], config: CorpusConfig) -> tuple[str, ...]:
    wanted = exact_counts(demand(config), config.targets)
    return tuple(sorted(s for s, n in wanted.items() if n > have[s]))


def _problem(got: int, have: Mapping[str, int], config: CorpusConfig) -> str:
    wanted = exact_counts(demand(config), config.targets)
    lacking = ", ".join(f"{s} has {have[s]} of {n}" for s, n in wanted.items() if n > have[s])
    return (
        f"corpus.min_records={config.min_records}: only {got} records can be kept in the target shares ({lacking}); "
        "add records, lower corpus.min_records, or set corpus.on_shortage to renormalise or repeat"
    )
