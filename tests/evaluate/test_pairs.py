from __future__ import annotations

import pytest

from pe_ray.evaluate import pairs


def test_the_suite_has_a_specific_and_a_generic_answer_to_each_question() -> None:
    rows = pairs.suite()
    assert len({r["id"] for r in rows}) == len(rows) == 120
    asked = [sorted(r["label"] for r in rows if r["question"] == q) for q in {r["question"] for r in rows}]
    assert asked == [["generic", "specific"]] * 60


def test_generic_answers_have_rows_with_intervals() -> None:
    rows = {r["name"]: r for r in pairs.generic_answers()}
    assert set(rows) == {"generic.rejected", "generic.rejected_at_threshold", "generic.kept_at_threshold"}
    for row in rows.values():
        assert row["n"] == 60
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
    assert rows["generic.rejected"]["value"] >= 0.9


def test_without_the_data_every_figure_is_named_and_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PE_RAY_DATA", raising=False)
    rows = pairs.mismatch()
    assert [r["name"] for r in rows] == list(pairs.BASELINES)
    assert all(r["value"] is None and r["ok"] is None and "PE_RAY_DATA" in r["reason"] for r in rows)
