"""The suites are counted right, halves never move, and the development half does not fall below a floor."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.evaluate import crisis, crisis_public
from pe_ray.evaluate.statistics import clopper_pearson

FLOOR, CEILING = 0.4, 0.07
"""Well inside what `pe-ray evaluate safety` prints for the development half: a fall below is a mistake, not chance."""


@pytest.fixture(scope="module")
def development() -> dict[str, crisis.Count]:
    cases = [c for c in crisis.suites() if c.half == "development" and c.kind in ("positive", "benign")][::3]
    return crisis.tally(cases, [crisis.level_of(case) for case in cases])


def test_the_development_half_keeps_its_floor(development: dict[str, crisis.Count]) -> None:
    found, benign = development["found.all"], development["benign.all"]
    assert found.hits / found.trials > FLOOR
    assert benign.hits / benign.trials < CEILING


def test_halves_are_by_id_and_nearly_equal() -> None:
    cases = crisis.suites()
    first = [c for c in cases if c.half == "development"]
    assert 0.45 < len(first) / len(cases) < 0.55
    assert [c.half for c in cases[:6]] == [c.half for c in crisis.suites()[:6]]


def test_a_tally_counts_by_class_form_and_level() -> None:
    cases = [
        crisis.Case("a", "positive", "child_abuse", "direct", 3, ("x",)),
        crisis.Case("b", "positive", "child_abuse", "past", 2, ("x",)),
        crisis.Case("c", "benign", "none", "idiom", 0, ("x",)),
        crisis.Case("d", "twin", "none", "slow", 0, ("x", "y")),
        crisis.Case("e", "slow", "child_abuse", "slow", 3, ("x", "y")),
    ]
    found = crisis.tally(cases, [2, 2, 2, 0, 3])
    assert found["found.all"] == crisis.Count(2, 2)
    assert found["level3.recall"] == crisis.Count(0, 1)
    assert found["level2.recall"] == crisis.Count(1, 1)
    assert found["benign.form.idiom"] == crisis.Count(1, 1)
    assert found["slow.false_alarm"] == crisis.Count(0, 1)
    assert found["slow.found"] == crisis.Count(1, 1)
    assert crisis.confusion(cases, lambda case: case.level) == [
        [2, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 2, 0],
        [0, 0, 0, 0, 0],
    ]


def test_the_first_run_is_kept() -> None:
    first = crisis.first_run()
    assert first["halves"]["all"]["found.all"] == crisis.Count(81, 704)
    assert first["rules"] == "01e6879e9529"


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(0, 20, 0.0, 0.1684), (20, 20, 0.8316, 1.0), (6, 600, 0.0037, 0.0216)]
)
def test_exact_intervals(hits: int, trials: int, low: float, high: float) -> None:
    found = clopper_pearson(hits, trials)
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)
    assert clopper_pearson(0, 0).value is None


def test_public_sets_that_are_absent_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PE_RAY_DATA", str(tmp_path))
    rows = crisis_public.rows()
    assert {"crisis.recall", "crisis.precision"} <= {row["name"] for row in rows}
    assert all(row["value"] is None and row["ok"] is None and "PE_RAY_DATA" in row["reason"] for row in rows)


def test_conversations_are_counted_by_persona(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / crisis_public.VERA
    (folder / "conversations").mkdir(parents=True)
    (folder / "personas.tsv").write_text("Name\tCurrent Risk Level\nAda\tHigh\nBen\tNone\n", encoding="utf-8")
    (folder / "conversations" / "1_Ada_m_run1.txt").write_text(
        "user: Hello.\n\nagent: Are you thinking of killing yourself?\n\nuser: Yes. Every night.\n", encoding="utf-8"
    )
    (folder / "conversations" / "2_Ben_m_run1.txt").write_text("user: It rained.\n\nagent: And?\n", encoding="utf-8")
    monkeypatch.setenv("PE_RAY_DATA", str(tmp_path))
    found = {row["name"]: row for row in crisis_public.conversations()}
    assert found["crisis.recall"]["value"] == 1
    assert found["crisis.vera.false_alarm"]["value"] == 0
    assert found["crisis.vera.recall.ada"]["n"] == found["crisis.vera.false_alarm.ben"]["n"] == 1
