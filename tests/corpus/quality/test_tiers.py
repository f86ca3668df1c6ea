from __future__ import annotations

from pe_ray.corpus.quality import crisis, markers, spans, tiers
from pe_ray.record import to_table
from tests.corpus.quality.judge import record
from tests.corpus.quality.test_appropriateness import RECORDS as SCENES


def test_verdicts_are_added_behind_those_that_are_there_and_costs_are_told() -> None:
    table = crisis.apply(markers.apply(to_table(SCENES)))
    meter = tiers.Meter()
    done = tiers.apply(table, meter=meter)
    names = [[v["check"] for v in row] for row in done["verdicts"].to_pylist()]
    assert all(row[0] == "crisis" for row in names)
    assert [("appropriateness" in row) for row in names] == [True, True, True, False, True, True, False]
    assert done.schema == table.schema
    costs = tiers.costs(meter.rows())
    assert sum(c.verdicts for c in costs if c.check == "appropriateness") == 5
    assert [tier for tier, _, _ in tiers.totals(costs)] == [tiers.SECOND, tiers.THIRD]


def test_records_that_no_check_applies_to_stay_as_they_are() -> None:
    table = crisis.apply(markers.apply(to_table([record("When does it open?", "At nine.")])))
    assert tiers.apply(table) == table


def test_places_are_characters_of_the_message() -> None:
    scene = SCENES[1]
    for place in spans.places(scene):
        assert 0 <= place.start < place.end <= len(scene.messages[place.message].text)
    assert "appropriateness" in {place.check for place in spans.places(scene)}
