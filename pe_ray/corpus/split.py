"""Which records are held out of training: by hash, within each domain, and never one half of a group.

A group is a recording, or all answers to one question: if a part of it were trained on, the rest would be no test.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from pe_ray.record import digest

TRAIN, VALIDATION = "train", "validation"


def split(domains: Sequence[str], groups: Sequence[str], share: float) -> list[str]:
    """`train` or `validation` for each record.

    Within a domain, groups go to validation in the order of their hash as long as they fit into its share. A domain
    with at least two groups gets both sides, even if the share rounds to nothing.
    """
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for domain, group in zip(domains, groups, strict=True):
        members[domain][group] += 1
    held_out = {(domain, g) for domain, sizes in members.items() for g in _held_out(sizes, share)}
    return [VALIDATION if (d, g) in held_out else TRAIN for d, g in zip(domains, groups, strict=True)]


def _held_out(sizes: Counter[str], share: float) -> set[str]:
    room = round(share * sizes.total())
    chosen: set[str] = set()
    for group in sorted(sizes, key=lambda g: digest("split", g)):
        if sizes[group] <= room:
            chosen.add(group)
            room -= sizes[group]
    if not chosen and len(sizes) > 1:
        chosen.add(min(sizes, key=lambda g: (sizes[g], digest("split", g))))
    return chosen
