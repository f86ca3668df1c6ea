"""The statistics against slow obvious versions, and at their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_ray.evaluate.statistics import auc, dependence, mutual_information, share_over_all, shares, wilson


def loads(seed: int = 0, documents: int = 40, experts: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Slots by document and expert, and a domain for each document: the documents of domain g prefer expert g."""
    rng = np.random.default_rng(seed)
    domain_D = rng.integers(0, 4, documents)
    load_DE = rng.integers(0, 30, (documents, experts)).astype(float)
    load_DE[np.arange(documents), domain_D % experts] += 15
    return load_DE, domain_D


def slow_information(load_DE: np.ndarray, domain_D: np.ndarray) -> float:
    """sum p(g, e) ln p(g, e) / (p(g) p(e)), written out, with every domain equally likely."""
    domains = [g for g in sorted(set(domain_D.tolist())) if g >= 0 and load_DE[domain_D == g].sum() > 0]
    joint = {}
    for g in domains:
        rows = [row for row, d in zip(load_DE, domain_D, strict=True) if d == g]
        total = sum(float(v) for row in rows for v in row)
        for e in range(load_DE.shape[1]):
            joint[g, e] = sum(float(row[e]) for row in rows) / total / len(domains)
    found = 0.0
    for (g, e), p in joint.items():
        p_g = sum(v for (a, _), v in joint.items() if a == g)
        p_e = sum(v for (_, b), v in joint.items() if b == e)
        found += p * math.log(p / (p_g * p_e)) if p > 0 else 0.0
    return found


@pytest.mark.parametrize("seed", range(5))
def test_information_equals_the_definition(seed: int) -> None:
    load_DE, domain_D = loads(seed)
    load_DE[3] = 0
    domain_D[5] = -1
    kept = domain_D >= 0
    assert mutual_information(load_DE, domain_D, 4) == pytest.approx(slow_information(load_DE[kept], domain_D[kept]))


def test_information_is_ln_4_where_each_domain_has_its_expert_and_zero_where_all_are_alike() -> None:
    domain_D = np.repeat(np.arange(4), 3)
    assert mutual_information(np.eye(4)[domain_D] * 7, domain_D, 4) == pytest.approx(math.log(4))
    assert mutual_information(np.ones((12, 4)), domain_D, 4) == pytest.approx(0, abs=1e-12)


def test_a_domain_counts_alike_whatever_its_tokens() -> None:
    load_DE, domain_D = loads()
    larger = np.where((domain_D == 2)[:, None], load_DE * 1000, load_DE)
    assert mutual_information(larger, domain_D, 4) == pytest.approx(mutual_information(load_DE, domain_D, 4))
    np.testing.assert_allclose(
        share_over_all(shares(larger, domain_D, 4)), share_over_all(shares(load_DE, domain_D, 4))
    )


def test_shares_sum_to_one_and_an_empty_domain_is_left_out() -> None:
    load_DE = np.array([[3.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    share_GE = shares(load_DE, np.array([0, 1, 2]), 4)
    np.testing.assert_allclose(share_GE[[0, 2]], [[0.75, 0.25], [0.5, 0.5]])
    assert np.isnan(share_GE[[1, 3]]).all()
    np.testing.assert_allclose(share_over_all(share_GE), [0.625, 0.375])
    assert np.isnan(share_over_all(np.full((4, 2), np.nan))).all()


def test_permutations_equal_the_slow_version() -> None:
    load_DE, domain_D = loads(1)
    found = dependence(load_DE[None], domain_D, 4, permutations=50, seed=3)
    rng = np.random.default_rng(3)
    chance = [slow_information(load_DE, rng.permutation(domain_D)) for _ in range(50)]
    real = slow_information(load_DE, domain_D)
    assert found.nats == pytest.approx(real)
    assert found.p99 == pytest.approx(np.quantile(chance, 0.99))
    assert found.p_value == (1 + sum(c >= real for c in chance)) / 51


def test_a_real_dependence_beats_chance_and_a_shuffled_one_does_not() -> None:
    load_DE, domain_D = loads(2, documents=200)
    real = dependence(load_DE[None], domain_D, 4)
    assert real.nats > real.p99
    assert real.p_value == 1 / 201
    shuffled = dependence(load_DE[None], np.random.default_rng(0).permutation(domain_D), 4)
    assert shuffled.p_value > 0.02
    assert dependence(load_DE[None], domain_D, 4) == real


def test_experts_that_mean_different_things_in_each_layer_show_by_layer() -> None:
    domain_D = np.repeat(np.arange(4), 5)
    one = np.eye(4)[domain_D]
    found = dependence(np.stack([one, np.eye(4)[(domain_D + 1) % 4], one[:, ::-1], np.ones_like(one)]), domain_D, 4)
    assert found.by_layer == pytest.approx([math.log(4)] * 3 + [0.0])
    assert found.nats <= np.mean(found.by_layer)


@pytest.mark.parametrize("domains", [[], [0, 0, 0], [-1, -1, 2]])
def test_one_domain_has_nothing_to_depend_on(domains: list[int]) -> None:
    assert dependence(np.ones((2, len(domains), 4)), np.array(domains, dtype=int), 4) is None


def test_wilson_equals_published_values() -> None:
    found = wilson(8, 10)  # Brown, Cai, DasGupta 2001: the score interval solves |p - t| = z sqrt(t (1 - t) / n)
    assert (found.value, found.trials) == (0.8, 10)
    for t in (found.low, found.high):
        assert abs(0.8 - t) == pytest.approx(1.959963984540054 * math.sqrt(t * (1 - t) / 10))
    assert found.low < 0.8 < found.high
    assert wilson(0, 5).low == 0
    assert wilson(5, 5).high == pytest.approx(1)
    assert wilson(0, 0).value is None


def test_auc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 5, 30).astype(float), rng.random(30) > 0.4
    pairs = [(a, b) for a in score[positive] for b in score[~positive]]
    assert auc(score, positive) == pytest.approx(sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs))
    assert auc(score, np.ones(30, dtype=bool)) is None
