"""MinHash signatures of shingles, and the band keys that bring near-duplicates together."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from pe_ray.corpus.neardup.shingles import Shingles

SIGNED_AT_A_TIME = 128
"""Documents per call of rensa. It hands signatures out as lists of Python integers only (0.5.0 has no buffer); few at
a time, those integers are freed and made again in cache, which halves their cost."""


def sign(shingles: Shingles, num_perm: int, seed: int) -> NDArray[np.uint32]:
    """R-MinHash signatures (N, num_perm) of N documents. One without shingles gets 2**32 - 1 throughout."""
    pack = struct.Struct(f"={num_perm}I").pack  # half the cost of numpy's reading of a list
    rows = []
    for start in range(0, len(shingles.offsets) - 1, SIGNED_AT_A_TIME):
        offsets = shingles.offsets[start : start + SIGNED_AT_A_TIME + 1]
        flat = shingles.flat[offsets[0] : offsets[-1]]
        begins = (offsets - offsets[0]).astype(np.uint64)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, begins, num_perm, seed)
        rows += [pack(*row) for row in matrix.to_rows()]
    return np.frombuffer(b"".join(rows), np.uint32).reshape(-1, num_perm)


def band_keys(signatures: NDArray[np.uint32], bands: int, seed: int) -> NDArray[np.uint64]:
    """Multilinear hash of each band's slots, (bands, N); its upper bits are the good ones."""
    num, num_perm = signatures.shape
    slots = signatures.reshape(num, bands, num_perm // bands)
    factors = np.random.default_rng(seed).integers(1, 1 << 63, slots.shape[2], np.uint64) * np.uint64(2) + np.uint64(1)
    keys = np.zeros((num, bands), np.uint64)
    for place, factor in enumerate(factors):
        keys += slots[:, :, place] * factor
    return np.ascontiguousarray(keys.T)
