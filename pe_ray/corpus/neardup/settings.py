"""How near-duplicates are looked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Raises ValueError if a number is out of range or `bands` does not divide `num_perm`."""

    num_perm: int = 128
    """Permutations of a MinHash signature."""
    bands: int = 16
    """Bands that it is cut into; two documents that agree in one are compared."""
    ngram: int = 3
    """Words of a shingle."""
    threshold: float = 0.7
    """Jaccard from which two documents are alike."""
    seed: int = 42
    """Of the permutations and the band keys."""
    chunk: int = 5000
    """Documents shingled at a time; changes no result."""
    bucket_cap: int = 1000
    """Members above which a bucket is cut by further bands."""

    def __post_init__(self) -> None:
        for name in ("bands", "ngram", "chunk", "num_perm"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not 1 or more")
        if self.num_perm % self.bands:
            raise ValueError(f"bands={self.bands} does not divide num_perm={self.num_perm}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold} is not above 0 and at most 1")
        if self.bucket_cap < 2:
            raise ValueError(f"bucket_cap={self.bucket_cap} is not 2 or more")
