"""Buckets of documents whose signatures agree in a whole band."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Buckets:
    """Members of the buckets of one band that hold two documents or more.

    `rank` (M,) lists them bucket by bucket, ascending inside each; `first` (M,) is the position of a member's bucket's
    first member, its hub.
    """

    rank: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def place(self) -> NDArray[np.int64]:
        """Position of each member within its bucket, from 0."""
        return np.arange(len(self.rank)) - self.first

    def without(self, gone: NDArray[np.bool_]) -> Buckets:
        """The buckets without some of their members (M,); those left with one vanish."""
        kept = np.flatnonzero(~gone)
        return grouped(self.rank[kept], self.first[kept])

    def slices(self, parts: int) -> list[slice]:
        """Members in at most `parts` runs of whole buckets, about equally many in each; none is empty."""
        if not self.rank.size:
            return []
        begins = np.flatnonzero(self.place == 0)
        wanted = np.linspace(0, len(self.rank), parts + 1)[1:-1]
        cuts = np.unique(np.concatenate([[0], begins[np.searchsorted(begins, wanted, "right") - 1], [len(self.rank)]]))
        return [slice(start, stop) for start, stop in itertools.pairwise(cuts.tolist())]


def bucketed(keys: NDArray[np.uint64], cap: int) -> tuple[list[Buckets], int]:
    """The buckets of each band of `keys` (bands, R), and how many held more than `cap` members.

    Such a bucket is boilerplate that many documents share, and one hub would judge them all. It is cut by the next
    band's key too, and by the next, until it is small enough or its members agree in every band.
    """
    bits = np.uint64(max((keys.shape[1] - 1).bit_length(), 1))
    found, capped = [], 0
    for band, key in enumerate(keys):
        here = _sorted(key, bits)
        capped += np.unique(here.first[_large(here, cap)]).size
        for further in range(1, len(keys)):
            large = here.rank[_large(here, cap)]
            if not large.size:
                break
            key = key.copy()
            key[large] = (key[large] ^ (keys[(band + further) % len(keys), large] >> np.uint64(7))) * _MIX
            here = _sorted(key, bits)
        found.append(here)
    return found, capped


def _large(found: Buckets, cap: int) -> NDArray[np.bool_]:
    return np.bincount(found.first, minlength=len(found.first))[found.first] > cap


def _sorted(key: NDArray[np.uint64], bits: np.uint64) -> Buckets:
    """Sort by the key's upper bits with the rank in the lower: a plain sort, no index, and stable by construction."""
    rank_mask = (np.uint64(1) << bits) - np.uint64(1)
    packed = (key & ~rank_mask) | np.arange(len(key), dtype=np.uint64)
    packed.sort()
    return grouped((packed & rank_mask).view(np.int64), packed >> bits)


def grouped(rank: NDArray[np.int64], group: NDArray[Any]) -> Buckets:
    """Members in order with what names their group; groups of one are dropped."""
    new = np.ones(len(group) + 1, np.bool_)
    np.not_equal(group[1:], group[:-1], out=new[1:-1])
    kept = ~(new[1:] & new[:-1])  # alone: begins a group, and so does its neighbour
    begins = np.flatnonzero(new[:-1][kept])
    sizes = np.diff(begins, append=np.count_nonzero(kept))
    return Buckets(rank[kept], np.repeat(begins, sizes))
