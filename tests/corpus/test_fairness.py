from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pe_ray.corpus import fairness
from pe_ray.record import Message, Record, from_table, to_table


def texts_and_outcome(tied: bool, num: int = 400) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(3)
    groups = ["immigrants", "refugees", "locals", "expats"]
    chosen = rng.integers(0, len(groups), num)
    worse = rng.random(num) < np.where((chosen == 0) & tied, 0.8, 0.25)
    return [f"Two {groups[c]} asked for help." for c in chosen], worse


def record(n: int, text: str, answer: str = "Thank you.") -> Record:
    return Record.create(
        source="standard",
        domain="general_therapeutic",
        content_type="qa",
        messages=(Message("user", text), Message("assistant", answer)),
        uri="made",
        offset=n,
        licence="CC0-1.0",
        attribution="",
        metadata={"outcome": "worse"},
    )


def test_a_tie_is_found_named_and_told_with_a_statistic() -> None:
    first, *others = fairness.associations(*texts_and_outcome(tied=True))
    assert first.group == "migration: immigrants"
    assert first.named
    assert first.odds_ratio > 5
    assert first.interval[0] < first.odds_ratio < first.interval[1]
    assert not any(a.named and a.odds_ratio > 1 for a in others)
    assert "odds ratio" in first.line()


def test_nothing_is_named_where_nothing_is() -> None:
    assert not any(a.named for a in fairness.associations(*texts_and_outcome(tied=False)))


def test_a_group_of_few_records_is_not_spoken_of() -> None:
    texts, worse = ["Two refugees came."] * 5 + ["Somebody came."] * 50, np.ones(55, bool)
    assert fairness.associations(texts, worse) == []
    assert fairness.associations([], np.zeros(0, bool)) == []


def test_weights_part_group_and_outcome() -> None:
    texts, worse = texts_and_outcome(tied=True)
    weight_N = fairness.reweigh(texts, worse, ["migration: immigrants"])
    assert weight_N.mean() == pytest.approx(1)
    assert weight_N.min() > 0
    after = {a.group: a for a in fairness.associations(texts, worse, weight_N)}["migration: immigrants"]
    assert after.odds_ratio == pytest.approx(1, abs=0.05)
    assert not after.named


def test_p_values_are_corrected_for_how_many_groups_were_looked_at() -> None:
    from scipy.stats import fisher_exact

    texts, worse = texts_and_outcome(tied=True)
    found = fairness.associations(texts, worse)
    has = np.array(["immigrants" in t for t in texts])
    table = [[(has & worse).sum(), (has & ~worse).sum()], [(~has & worse).sum(), (~has & ~worse).sum()]]
    assert found[0].p == pytest.approx(float(fisher_exact(table)[1]) * len(found))


def test_augmentation_adds_the_same_record_about_others() -> None:
    table = to_table([record(0, "An immigrant came.", "I see that immigrants come."), record(1, "It rains.")])
    grown = fairness.augment(table, axes=["migration"])
    added = list(from_table(grown))[2:]
    assert grown.schema == table.schema
    assert [m.text for m in added[0].messages] == ["A refugee came.", "I see that immigrants come."]
    (first, _) = from_table(table)
    assert all(r.metadata[fairness.COUNTERFACTUAL] == first.id for r in added)
    assert all(r.metadata["outcome"] == "worse" for r in added)
    assert len({r.id for r in from_table(grown)}) == len(grown)


def test_columns_of_later_stages_are_kept() -> None:
    table = to_table([record(0, "An immigrant came.")]).append_column("language", pa.array(["en"]))
    grown = fairness.augment(table)
    assert grown.column_names == table.column_names
    assert grown["language"].to_pylist()[0] == "en"
    plain = to_table([record(0, "It rains.")])
    assert fairness.augment(plain) is plain
