"""Goals, their ratings and milestones; the T-score against its formula worked by hand."""

from __future__ import annotations

from datetime import date

import pytest

from pe_ray.errors import ClientNotFound, UserError
from pe_ray.progress.goals import latest_levels, t_score
from pe_ray.progress.journal import Journal
from tests.progress.conftest import Clock


def test_a_goal_with_ratings_and_milestones(journal: Journal, clock: Clock) -> None:
    goal = journal.goals.add("ada", "leave the house daily", date(2026, 6, 1))
    journal.goals.rate("ada", goal, 1, at=clock.at)
    journal.goals.rate("ada", goal, -2, at=clock.back(10))
    journal.goals.rate("ada", goal, 0, source="clinician")
    step = journal.goals.add_milestone("ada", goal, "to the gate", date(2026, 3, 5))
    journal.goals.add_milestone("ada", goal, "to the shop")
    journal.goals.finish_milestone("ada", step)
    journal.goals.set_status("ada", goal, "achieved")
    (found,) = journal.goals.list("ada")
    assert (found["text"], found["status"], found["target_date"]) == ("leave the house daily", "achieved", "2026-06-01")
    assert [(r["level"], r["source"]) for r in found["ratings"]] == [(-2, "self"), (1, "self"), (0, "clinician")]
    assert [(m["text"], m["done_at"] is not None) for m in found["milestones"]] == [
        ("to the gate", True),
        ("to the shop", False),
    ]
    assert journal.goals.milestones("ada")[0]["goal_id"] == goal
    assert latest_levels([found], "self") == [1]
    assert latest_levels([found], "clinician") == [0]


@pytest.mark.parametrize("level", [-3, 3, 1.5, True, "1"])
def test_a_rating_lies_between_minus_two_and_two(journal: Journal, level) -> None:
    goal = journal.goals.add("ada", "walk")
    with pytest.raises(UserError, match="from -2 to 2"):
        journal.goals.rate("ada", goal, level)


def test_the_goals_of_another_client_cannot_be_touched(journal: Journal) -> None:
    goal = journal.goals.add("ada", "walk")
    step = journal.goals.add_milestone("ada", goal, "a")
    journal.goals.add("bob", "swim")
    for call in (
        lambda: journal.goals.rate("bob", goal, 1),
        lambda: journal.goals.set_status("bob", goal, "dropped"),
        lambda: journal.goals.add_milestone("bob", goal, "x"),
        lambda: journal.goals.finish_milestone("bob", step),
        lambda: journal.goals.rate("nobody", goal, 1),
    ):
        with pytest.raises(ClientNotFound):
            call()
    (found,) = journal.goals.list("ada")
    assert (found["status"], found["ratings"], len(found["milestones"])) == ("active", [], 1)


def test_the_t_score() -> None:
    assert t_score([]) is None
    assert t_score([0, 0, 0]) == 50
    assert t_score([1]) == pytest.approx(60)
    assert t_score([2, 1]) == pytest.approx(50 + 30 / (0.7 * 2 + 0.3 * 4) ** 0.5)
    assert t_score([-2, 2]) == 50
