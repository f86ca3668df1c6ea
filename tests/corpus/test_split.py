from __future__ import annotations

from collections import Counter

from pe_ray.corpus.split import split


def test_each_domain_gives_its_share() -> None:
    domains = ["a"] * 100 + ["b"] * 40
    sides = split(domains, [f"g{i}" for i in range(140)], range(140), 0.1)
    assert Counter(zip(domains, sides, strict=True)) == {
        ("a", "train"): 90,
        ("a", "validation"): 10,
        ("b", "train"): 36,
        ("b", "validation"): 4,
    }


def test_the_order_does_not_matter() -> None:
    groups = [f"g{i}" for i in range(30)]
    forwards = dict(zip(groups, split(["a"] * 30, groups, range(30), 0.2), strict=True))
    backwards = dict(zip(groups[::-1], split(["a"] * 30, groups[::-1], range(30), 0.2), strict=True))
    assert forwards == backwards


def test_a_group_stays_whole() -> None:
    groups = [f"g{i // 6}" for i in range(60)]
    sides = split(["a"] * 60, groups, range(60), 0.2)
    assert len(set(zip(groups, sides, strict=True))) == 10
    assert Counter(sides)["validation"] == 12


def test_a_small_domain_has_both_sides_if_it_can() -> None:
    assert Counter(split(["a", "a", "a"], ["x", "y", "y"], range(3), 0.1)) == {"train": 2, "validation": 1}
    assert split(["a", "a"], ["x", "x"], [0, 1], 0.1) == ["train", "train"]
    assert split([], [], [], 0.1) == []


def test_groups_larger_than_the_share_leave_room_for_smaller_ones() -> None:
    groups = ["big"] * 50 + [f"s{i}" for i in range(50)]
    sides = split(["a"] * 100, groups, range(100), 0.1)
    assert set(sides[:50]) == {"train"}
    assert Counter(sides)["validation"] == 10


def test_near_duplicates_stay_on_one_side() -> None:
    clusters = [i // 5 for i in range(100)]
    sides = split(["a"] * 100, [f"g{i}" for i in range(100)], clusters, 0.2, 0.1)
    assert len(set(zip(clusters, sides, strict=True))) == 20
    assert Counter(sides) == {"train": 70, "validation": 20, "test": 10}


def test_what_groups_and_clusters_join_stays_whole() -> None:
    """a-b share a question, b-c are near-duplicates: a is no test for a model that saw c."""
    groups = ["q", "q", "r"] + [f"g{i}" for i in range(97)]
    clusters = [0, 1, 1, *range(3, 100)]
    for share in (0.1, 0.2, 0.3, 0.4):
        assert len(set(split(["a"] * 100, groups, clusters, share)[:3])) == 1


def test_a_family_of_two_domains_is_split_once() -> None:
    domains = ["a", "b"] * 50
    sides = split(domains, [f"g{i // 2}" for i in range(100)], range(100), 0.2, 0.1)
    assert all(sides[i] == sides[i + 1] for i in range(0, 100, 2))
    assert set(sides) == {"train", "validation", "test"}


def test_the_test_part_is_no_validation_and_may_be_nothing() -> None:
    sides = split(["a"] * 40, [f"g{i}" for i in range(40)], range(40), 0.1, 0.05)
    assert Counter(sides) == {"train": 34, "validation": 4, "test": 2}
    assert "test" not in split(["a"] * 40, [f"g{i}" for i in range(40)], range(40), 0.1, 0.0)
