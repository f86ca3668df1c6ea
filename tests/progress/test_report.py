"""A report says what the numbers did, in one file without scripts, with plots that have words, and is no diagnosis."""

from __future__ import annotations

import base64
import json
import re

from pe_ray.progress.journal import Journal
from pe_ray.progress.report import gather, html, narrative, trends
from tests.progress.conftest import Clock


def fill(journal: Journal, clock: Clock) -> None:
    for week, total in enumerate([19, 18, 16, 17, 13, 12, 11, 9, 8, 7]):
        items = [total // 9 + (i < total % 9) for i in range(9)]
        items[8], items[0] = 0, min(3, items[0] + items[8])
        journal.assessments.add("ada", "phq9", items, at=clock.back(70 - 7 * week))
    for week, value in enumerate([2, 1, 2, 1, 2]):
        journal.assessments.add("ada", "gad7", [value] * 7, at=clock.back(35 - 7 * week), source="clinician")
    goal = journal.goals.add("ada", "see a friend <every> week")
    journal.goals.rate("ada", goal, -1, at=clock.back(20))
    journal.goals.rate("ada", goal, 1)
    journal.goals.add_milestone("ada", goal, "call one")
    journal.sessions.start("ada")


def test_the_data_of_a_report(journal: Journal, clock: Clock) -> None:
    fill(journal, clock)
    found = json.loads(json.dumps(gather(journal, "ada")))
    assert [(s["name"], s["trend"]["label"]) for s in found["series"]] == [
        ("PHQ-9 (depression)", "improving"),
        ("GAD-7 (anxiety)", "fluctuating"),
    ]
    assert found["goals"]["t_score"] == {"self": 60.0, "clinician": None}
    assert found["sessions"] == 1
    assert "not a diagnosis" in found["disclaimer"]
    assert found["provenance"]["rule"] == "reliable-slope v1"
    assert gather(journal, "ada")["provenance"] == found["provenance"]
    journal.assessments.add("ada", "gad7", [1] * 7)
    assert gather(journal, "ada")["provenance"]["input_hash"] != found["provenance"]["input_hash"]
    assert [h["action"] for h in journal.history("ada")[0]].count("report.read") == 3


def test_the_page_is_one_safe_file_with_plots_that_have_words(journal: Journal, clock: Clock) -> None:
    fill(journal, clock)
    page = html(gather(journal, "ada"))
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "see a friend &lt;every&gt; week" in page
    alts = re.findall(r'<img alt="([^"]+)"', page)
    assert len(alts) == 2
    assert "caseness begins at 10" in alts[0]
    assert "fell by more than measurement error" in alts[0]
    plots = [base64.b64decode(p) for p in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)]
    assert all(b"<svg" in p and b"<script" not in p for p in plots)
    assert "not a diagnosis" in page
    assert "reliable-slope v1" in page
    assert "Kroenke" in page


def test_words_follow_numbers(journal: Journal, clock: Clock) -> None:
    fill(journal, clock)
    phq9, gad7 = trends(journal, "ada")["series"]
    assert "recovered (Jacobson and Truax)" in narrative(phq9)
    assert "provisional" in narrative(gad7)
    assert "10 scores" in narrative(phq9)


def test_an_empty_report_says_so(journal: Journal, entry) -> None:
    journal.append([entry("e1")])
    report = gather(journal, "ada", days=30)
    assert report["series"] == []
    assert report["entries"] == {}
    assert "No questionnaire was filled in" in html(report)
