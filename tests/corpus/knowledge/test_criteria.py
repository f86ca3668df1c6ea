"""Criteria of disorders that do not exist, in the manner of a diagnostic manual."""

from __future__ import annotations

import pytest

from pe_ray.corpus.knowledge import criteria, criteria_words
from pe_ray.corpus.knowledge.criteria_set import CriteriaSet, Criterion, Duration, Option
from pe_ray.corpus.knowledge.entry import Entry, Problem

LANTERN = """\
Lantern Dread Disorder

300.99 (Z99.1)

Diagnostic Criteria
A. Five (or more) of the following signs have been present during the same 2-week period and are new for the
   person; at least one of the signs is either (1) dread of lanterns or (2) avoidance of lit rooms.
   1. Dread of lanterns, most of the day.
   2. Avoidance of lit rooms.
   3. Counting lamps.
      a. aloud
      b. in silence
   4. Waking at dusk.
   5. Covering windows.
   6. Asking others whether it is dark.
B. At least two of the following, for at least 6 months:
   1. Carrying a blanket.
   2. Walking only at night.
   3. Wearing dark glasses indoors.
C. The dread causes distress or impairment at work.

D. The disturbance is not attributable to the physiological effects of a substance or another medical condition.
E. There has never been a bonfire episode.
Note: Criteria A to C make up one dusk episode.

Specify if:
   With moths: Moths are dreaded as well,
   and they are seen where there are none.
   With dim light
Specify current severity:
   Z99.11 Mild: Five signs.
   Moderate: Between mild and severe.
   Severe: Nearly all signs.
"""

SHORT = """\
Small Lamp Disorder (Z99.2)

A. One (or both) of the following:
   1. Small lamps.
   2. Smaller lamps.
"""


def sets(text: str) -> list[CriteriaSet]:
    return [found[1] for found in criteria.parse(text) if not isinstance(found, Problem)]


def problems(text: str) -> list[Problem]:
    return [found for found in criteria.parse(text) if isinstance(found, Problem)]


@pytest.fixture(scope="module")
def lantern() -> CriteriaSet:
    (found,) = sets(LANTERN)
    return found


def test_name_code_and_letters(lantern: CriteriaSet) -> None:
    assert (lantern.name, lantern.code) == ("Lantern Dread Disorder", "Z99.1")
    assert [c.label for c in lantern.criteria] == list("ABCDE")


def test_how_many_of_how_many_and_which_must_be_among_them(lantern: CriteriaSet) -> None:
    first, second, third, *_ = lantern.criteria
    assert (first.needed, len(first.of), first.core_needed, first.core) == (5, 6, 1, ("1", "2"))
    assert first.duration == Duration("within", 2, "week")
    assert first.text.endswith("avoidance of lit rooms.")
    assert (second.needed, len(second.of), second.duration) == (2, 3, Duration("at_least", 6, "month"))
    assert (third.needed, third.of, third.duration) == (None, (), None)
    assert [part.label for part in first.of[2].of] == ["a", "b"]
    assert lantern.min_total == 7


def test_exclusions_specifiers_and_notes(lantern: CriteriaSet) -> None:
    assert [text.split()[0:2] for text in lantern.exclusions] == [["The", "disturbance"], ["There", "has"]]
    moths, severity = lantern.specifiers
    assert (moths.of, severity.of) == ("if", "current severity")
    assert moths.options == (
        Option("With moths", "Moths are dreaded as well, and they are seen where there are none."),
        Option("With dim light"),
    )
    assert [(o.name, o.code) for o in severity.options] == [("Mild", "Z99.11"), ("Moderate", ""), ("Severe", "")]
    assert lantern.notes == ("Criteria A to C make up one dusk episode.",)


def test_json_gives_the_same_set_again(lantern: CriteriaSet) -> None:
    assert CriteriaSet.from_json(lantern.to_json()) == lantern


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"criteria": 3}', '{"name": "x", "criteria": [{}]}'])
def test_json_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="criteria"):
        CriteriaSet.from_json(text)


def test_the_answer_tells_what_the_text_tells(lantern: CriteriaSet) -> None:
    told = lantern.render()
    assert "[at least 5 of 6, of which 1 among 1, 2, within 2 weeks]" in told
    for words in ("(Z99.1)", "- Moderate: Between", "told apart"):
        assert words in told


def test_headings_may_be_markdown() -> None:
    (found,) = sets("## Lamp Disorder\n\n### Diagnostic Criteria\n\n**A.** Dread.\n")
    assert (found.name, found.criteria[0].text) == ("Lamp Disorder", "Dread.")


def test_several_disorders_and_the_line_of_each() -> None:
    found = list(criteria.parse(f"{LANTERN}\n\n{SHORT}"))
    assert [f[1].name for f in found if not isinstance(f, Problem)] == ["Lantern Dread Disorder", "Small Lamp Disorder"]
    assert [f[0] for f in found if not isinstance(f, Problem)] == [1, LANTERN.count("\n") + 3]


def test_an_entry_carries_its_criteria() -> None:
    (entry,) = criteria.read(SHORT, "small.criteria.txt")
    assert isinstance(entry, Entry)
    assert entry.metadata["category"] == "disorder"
    assert entry.metadata["min_total"] == "1"
    assert CriteriaSet.from_json(entry.metadata["criteria"]).code == "Z99.2"
    assert "Small Lamp Disorder" in entry.question


def test_groups_of_symptoms_below_a_criterion() -> None:
    (found,) = sets(
        "Restless Lamp Disorder\nZ99.3\n"
        "A. A pattern of flicker as told by (1) and/or (2):\n"
        "1. Flicker: Two (or more) of the following for at least 6 months:\na. on\nb. off\nc. on again\n"
        "2. Glow: Three (or more) of the following:\na. red\nb. blue\nc. green\n"
        "B. Several signs were there before age 12 years.\n"
    )
    flicker, glow = found.criteria[0].of
    assert (flicker.needed, glow.needed) == (2, 3)
    assert flicker.duration == Duration("at_least", 6, "month")
    assert found.min_total == 2
    assert found.criteria[1].duration is None


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ("A. Dread.\nC. More dread.", 3, "C stands where B is wanted"),
        ("A. Two of the following:\n1. one\n3. three", 4, "3 stands where 2 is wanted"),
        ("A. Five (or more) of the following:\n1. one\n2. two", 2, "A asks for 5 of 2 items"),
        ("A. Five (or more) of the following:\nB. Dread.", 2, "names a list that does not follow"),
        ("A. One of the following; one of the signs is (9):\n1. one", 2, "refers to a (9)"),
        ("A. Dread.\na. x\n1. y", 4, "1 stands where 2 is wanted"),
    ],
)
def test_a_disorder_that_does_not_add_up_is_no_criteria(lines: str, line: int, says: str) -> None:
    text = f"Lamp Disorder\n{lines}\n\n{SHORT}"
    assert [s.name for s in sets(text)] == ["Small Lamp Disorder"], "the next disorder is read all the same"
    (problem,) = problems(text)
    assert problem.line == line
    assert says in problem.reason


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "no disorder"),
        ("Only some words that nobody needs.", 1, "belongs to no disorder"),
        ("Lamp Disorder\nZ99.1\nwords, and no list", 1, "no criterion A"),
        ("# Lamp Disorder\n1. one\n2. two", 1, "no criterion A"),
        ("Lamp Disorder\nA. dread \0 dread", 2, "NUL"),
        ("Lamp Disorder\nA. dread \ud800 dread", 2, "surrogate"),
    ],
)
def test_a_text_without_criteria_says_where(text: str, line: int, says: str) -> None:
    (problem,) = problems(text)
    assert (problem.line, sets(text)) == (line, [])
    assert says in problem.reason
    assert "dread" not in problem.reason


def test_words_before_the_first_disorder_are_not_lost() -> None:
    found = list(criteria.parse(f"From a manual that nobody printed.\n\n{SHORT}"))
    assert isinstance(found[0], Problem)
    assert found[0].line == 1
    assert len(found) == 2


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("Five (or more) of the following symptoms", 5),
        ("as manifested by at least two of the following, occurring within a 12-month period:", 2),
        ("Three (or more) of the following seven signs:", 3),
        ("at least 4 symptoms of the following", 4),
        ("one (or both) of the following:", 1),
        ("Either (or both) of the following:", 1),
        ("Both of the following:", 2),
        ("Nine or more of the following", 9),
        ("The one thing that follows", None),
    ],
)
def test_the_number_that_is_needed(text: str, needed: int | None) -> None:
    found = criteria_words.count(text)
    assert (found.needed if found else None) == needed


def test_all_of_the_following_counts_the_list() -> None:
    (found,) = sets("Lamp Disorder\nA. All of the following:\n1. one\n2. two\n3. three")
    assert found.criteria[0].needed == 3


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("for at least 6 months", Duration("at_least", 6, "month")),
        ("for a period of at least one month", Duration("at_least", 1, "month")),
        ("during the same 2-week period", Duration("within", 2, "week")),
        ("occurring within a 12-month period", Duration("within", 12, "month")),
        ("lasts more than 1 month", Duration("more_than", 1, "month")),
        ("lasting at least 4 consecutive days", Duration("at_least", 4, "day")),
        ("3 months or longer", Duration("at_least", 3, "month")),
        ("a duration of at least two years (one year in children)", Duration("at_least", 2, "year")),
        ("who is at least 18 years of age", None),
        ("before age 12 years", None),
        ("for no reason at all", None),
    ],
)
def test_durations(text: str, wanted: Duration | None) -> None:
    assert criteria_words.duration(text) == wanted


@pytest.mark.parametrize(
    ("text", "excludes"),
    [
        ("is not attributable to the physiological effects of a substance", True),
        ("is not better explained by another lamp disorder", True),
        ("does not occur exclusively during dusk", True),
        ("There has never been a bonfire episode", True),
        ("is attributable to lamps", False),
        ("does not sleep", False),
    ],
)
def test_exclusions(text: str, excludes: bool) -> None:
    assert bool(criteria_words.EXCLUDES.search(text)) is excludes


def test_least_is_the_sum_unless_one_group_is_enough() -> None:
    groups = tuple(Criterion(str(n), "", needed=n) for n in (2, 3))
    assert Criterion("A", "", of=groups).least == 5
    assert Criterion("A", "", of=groups, alternatives=True).least == 2
