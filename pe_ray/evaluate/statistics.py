"""The statistics of an evaluation, over plain arrays: shares, dependence with a permutation test, intervals.

Legend: L layers, D documents, G domains, E experts. `domain_D` numbers the domain of a document; a negative one, or
one without a routed slot, is left out. Every domain counts alike, whatever its number of tokens: a share over all is
the mean over the domains, and the information is that of a token drawn from a domain drawn evenly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Dependence:
    """Mutual information of expert and domain, in nats, and what chance alone gives."""

    nats: float
    p99: float
    """99th percentile over the permutations of the documents' domains."""
    p_value: float
    """(1 + permutations at least as large) / (1 + permutations)."""
    permutations: int
    by_layer: list[float]
    """The same for each layer alone: experts of different layers need not mean the same."""


@dataclass(frozen=True)
class Proportion:
    """`hits` of `trials`, with a 95 % interval; None throughout where nothing was tried."""

    hits: int
    trials: int
    value: float | None
    low: float | None
    high: float | None


def shares(load_DE: np.ndarray, domain_D: np.ndarray, num_domains: int) -> np.ndarray:
    """Share of the routed slots by domain and expert, [G, E]: rows sum to one, or are NaN without a slot."""
    load_GE = _members(domain_D, num_domains) @ load_DE
    total_G1 = load_GE.sum(axis=1, keepdims=True)
    return np.divide(load_GE, total_G1, out=np.full(load_GE.shape, np.nan), where=total_G1 > 0)


def share_over_all(share_GE: np.ndarray) -> np.ndarray:
    """Share by expert when every domain counts alike, [E]; NaN where no domain has a slot."""
    present = ~np.isnan(share_GE).any(axis=1)
    return share_GE[present].mean(axis=0) if present.any() else np.full(share_GE.shape[1], np.nan)


def mutual_information(load_DE: np.ndarray, domain_D: np.ndarray, num_domains: int) -> float:
    """Nats that knowing the expert tells about the domain; at most the logarithm of the smaller number of the two."""
    share_GE = shares(load_DE, domain_D, num_domains)
    share_GE = share_GE[~np.isnan(share_GE).any(axis=1)]
    if not len(share_GE):
        return 0.0
    ratio_GE = np.divide(share_GE, share_GE.mean(axis=0), out=np.ones_like(share_GE), where=share_GE > 0)
    return max(0.0, float((share_GE * np.log(ratio_GE)).sum() / len(share_GE)))


def dependence(
    load_LDE: np.ndarray, domain_D: np.ndarray, num_domains: int, *, permutations: int = 200, seed: int = 7
) -> Dependence | None:
    """The information over all layers together, against that of documents whose domains were shuffled.

    None where fewer than two domains have documents: there is nothing to tell apart.
    """
    load_DE = load_LDE.sum(axis=0)
    counted = (domain_D >= 0) & (load_DE.sum(axis=1) > 0)
    load_LDE, load_DE, domain_D = load_LDE[:, counted], load_DE[counted], domain_D[counted]
    if len(np.unique(domain_D)) < 2:
        return None
    found = mutual_information(load_DE, domain_D, num_domains)
    rng = np.random.default_rng(seed)
    chance = [mutual_information(load_DE, rng.permutation(domain_D), num_domains) for _ in range(permutations)]
    at_least = sum(c >= found - 1e-12 for c in chance)  # sums in another order differ in the last bits
    return Dependence(
        nats=found,
        p99=float(np.quantile(chance, 0.99)),
        p_value=(1 + at_least) / (1 + permutations),
        permutations=permutations,
        by_layer=[mutual_information(layer_DE, domain_D, num_domains) for layer_DE in load_LDE],
    )


def wilson(hits: int, trials: int) -> Proportion:
    """A proportion with Wilson's score interval (1927), which stays inside 0..1 and holds for a handful of trials."""
    if not trials:
        return Proportion(0, 0, None, None, None)
    p, z2 = hits / trials, NORMAL_95**2
    middle = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = NORMAL_95 / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2))
    return Proportion(hits, trials, p, max(0.0, middle - half), min(1.0, middle + half))


def clopper_pearson(hits: int, trials: int) -> Proportion:
    """A proportion with the exact 95 % interval (Clopper and Pearson 1934): never too narrow, also near 0 and 1."""
    from scipy.stats import beta

    if not trials:
        return Proportion(0, 0, None, None, None)
    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return Proportion(hits, trials, hits / trials, low, high)


def auc(score_N: np.ndarray, positive_N: np.ndarray) -> float | None:
    """Chance that a positive scores above a negative, ties half; None unless there are both."""
    above, below = score_N[positive_N], score_N[~positive_N]
    if not len(above) or not len(below):
        return None
    difference = above[:, None] - below[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _members(domain_D: np.ndarray, num_domains: int) -> np.ndarray:
    """[G, D]: 1 where the document is of the domain."""
    return (domain_D[None, :] == np.arange(num_domains)[:, None]).astype(np.float64)
