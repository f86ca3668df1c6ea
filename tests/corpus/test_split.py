from __future__ import annotations

from collections import Counter

from pe_ray.corpus.split import split


def test_each_domain_gives_its_share() -> None:
    domains = ["a"] * 100 + ["b"] * 40
    sides = split(domains, [f"g{i}" for i in range(140)], 0.1)
    assert Counter(zip(domains, sides, strict=True)) == {
        ("a", "train"): 90,
        ("a", "validation"): 10,
        ("b", "train"): 36,
        ("b", "validation"): 4,
    }


def test_the_order_does_not_matter() -> None:
    groups = [f"g{i}" for i in range(30)]
    forwards = dict(zip(groups, split(["a"] * 30, groups, 0.2), strict=True))
    backwards = dict(zip(groups[::-1], split(["a"] * 30, groups[::-1], 0.2), strict=True))
    assert forwards == backwards


def test_a_group_stays_whole() -> None:
    groups = [f"g{i // 6}" for i in range(60)]
    sides = split(["a"] * 60, groups, 0.2)
    assert len(set(zip(groups, sides, strict=True))) == 10
    assert Counter(sides)["validation"] == 12


def test_a_small_domain_has_both_sides_if_it_can() -> None:
    assert Counter(split(["a", "a", "a"], ["x", "y", "y"], 0.1)) == {"train": 2, "validation": 1}
    assert split(["a", "a"], ["x", "x"], 0.1) == ["train", "train"]
    assert split([], [], 0.1) == []


def test_groups_larger_than_the_share_leave_room_for_smaller_ones() -> None:
    groups = ["big"] * 50 + [f"s{i}" for i in range(50)]
    sides = split(["a"] * 100, groups, 0.1)
    assert set(sides[:50]) == {"train"}
    assert Counter(sides)["validation"] == 10
