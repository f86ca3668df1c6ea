"""Which records are held out of training: by hash, within each domain, and never one half of what belongs together.

What belongs together is a recording, all answers to one question, and every record of a near-duplicate cluster, and
whatever these join: if a part of it were trained on, the rest would be no test.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pe_ray.record import digest

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SIDES = (TRAIN, VALIDATION, TEST)


def split(
    domains: Sequence[str],
    groups: Sequence[str],
    clusters: ArrayLike,
    validation_share: float,
    test_share: float = 0.0,
) -> list[str]:
    """`train`, `validation` or `test` for each record.

    `clusters` numbers the near-duplicate cluster of each. Within a domain, families (see above) go to validation, and
    then to test, in the order of their hash as long as they fit into the share. A family counts for the domain that
    most of it is of. A domain with at least two families gives some to validation even if the share rounds to nothing.
    """
    families = _families(groups, np.asarray(clusters))
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for domain, family in zip(_main_domains(domains, families), families, strict=True):
        members[domain][family] += 1
    sides = {}
    for sizes in members.values():
        held = _held_out(sizes, validation_share, "split", at_least_one=True)
        rest = Counter({f: n for f, n in sizes.items() if f not in held})
        tested = _held_out(rest, test_share * sizes.total() / max(1, rest.total()), "test", at_least_one=False)
        sides |= dict.fromkeys(held, VALIDATION) | dict.fromkeys(tested, TEST)
    return [sides.get(family, TRAIN) for family in families]


def _families(groups: Sequence[str], clusters: np.ndarray) -> list[str]:
    """Each record's family, named by its smallest group: a name that does not depend on the order of records."""
    if not len(groups):
        return []
    _, by_group = np.unique(np.array(groups, object), return_inverse=True)
    _, by_cluster = np.unique(clusters, return_inverse=True)
    num = int(by_group.max()) + 1
    ends = (by_group, num + by_cluster)
    size = num + int(by_cluster.max()) + 1
    graph = coo_array((np.ones(len(groups), np.bool_), ends), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for group, family in zip(groups, label[by_group].tolist(), strict=True):
        names[family] = min(group, names.get(family, group))
    return [names[family] for family in label[by_group].tolist()]


def _main_domains(domains: Sequence[str], families: Sequence[str]) -> list[str]:
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for domain, family in zip(domains, families, strict=True):
        counted[family][domain] += 1
    main = {f: min(c, key=lambda d: (-c[d], d)) for f, c in counted.items()}
    return [main[family] for family in families]


def _held_out(sizes: Counter[str], share: float, salt: str, *, at_least_one: bool) -> set[str]:
    room = round(share * sizes.total())
    chosen: set[str] = set()
    for family in sorted(sizes, key=lambda f: digest(salt, f)):
        if sizes[family] <= room:
            chosen.add(family)
            room -= sizes[family]
    if at_least_one and not chosen and len(sizes) > 1:
        chosen.add(min(sizes, key=lambda f: (sizes[f], digest(salt, f))))
    return chosen
