"""A client's progress over a window: as data, and as one HTML file with plots.

The report says what numbers did, by which rule, from which entries. Of the client's words it holds only the
goals that they set, and it is no diagnosis.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pe_ray import __version__
from pe_ray.monitor.page import COLOURS, Page, axes, facts, note, plot, table
from pe_ray.progress.assessments import series
from pe_ray.progress.goals import latest_levels, t_score
from pe_ray.progress.instruments import INSTRUMENTS
from pe_ray.progress.journal import Journal
from pe_ray.progress.repository import instant
from pe_ray.progress.trends import RULE
from pe_ray.security.access import LOCAL
from pe_ray.security.api_keys import Principal

DISCLAIMER = (
    "These are statements about questionnaire scores over time, made by a fixed rule. They are not a diagnosis."
)
SOURCES = {"self": "self-report", "clinician": "clinician rating"}
WORDS = {
    "improving": "Scores fell by more than measurement error explains.",
    "regressing": "Scores rose by more than measurement error explains.",
    "stable": "Scores moved no more than measurement error explains.",
    "fluctuating": "Scores went up and down by more than measurement error explains, without a direction.",
    "insufficient": "Fewer than four scores, or less than two weeks: nothing can be said yet.",
}


def trends(journal: Journal, client_id: str, days: int = 365, who: Principal = LOCAL) -> dict[str, Any]:
    """Every score series of a client in the last `days` days with its trend. Raises ClientNotFound."""
    until = journal.clock()
    found = series(journal.assessments.unaudited(client_id), until, days)
    journal.note_read(who, "trends.read", client_id)
    return {"rule": RULE, "window_days": days, "as_of": instant(until), "series": found, "disclaimer": DISCLAIMER}


def gather(journal: Journal, client_id: str, days: int = 365, who: Principal = LOCAL) -> dict[str, Any]:
    """The whole report as JSON. `input_hash` is over what it was computed from. Raises ClientNotFound."""
    until = journal.clock()
    since = instant(until - timedelta(days=days))
    assessments, goals = journal.assessments.unaudited(client_id), journal.goals.unaudited(client_id)
    kinds = Counter(kind for at, kind in journal.entries.kinds(client_id) if at >= since)
    sessions = [s for s in journal.sessions.unaudited(client_id) if s["started_at"] >= since]
    journal.note_read(who, "report.read", client_id)
    return {
        "client_id": client_id,
        "as_of": instant(until),
        "window_days": days,
        "disclaimer": DISCLAIMER,
        "series": series(assessments, until, days),
        "goals": _goal_summary(goals),
        "entries": dict(sorted(kinds.items())),
        "sessions": len(sessions),
        "provenance": {
            "rule": RULE,
            "pe_ray": __version__,
            "input_hash": _hash([assessments, goals, sorted(kinds.items()), len(sessions), days]),
        },
    }


def html(report: Mapping[str, Any]) -> str:
    """A report as one HTML page: no script, nothing loaded from elsewhere, plots with a text that says the same."""
    page = Page(
        "Progress report", f"client {report['client_id']} · {report['window_days']} days to {_day(report['as_of'])}"
    )
    page.section("Read this first", report["disclaimer"], "A person who knows the client decides what they mean.")
    page.section("At a glance", facts(_glance(report)))
    for one in report["series"]:
        page.section(f"{one['name']}, {SOURCES[one['source']]}", *_series_parts(one))
    if not report["series"]:
        page.section("Questionnaires", "No questionnaire was filled in within this window.")
    if report["goals"]["items"]:
        rows = [[g["text"], g["status"], g["self"], g["clinician"], g["milestones"]] for g in report["goals"]["items"]]
        page.section("Goals", table(["goal", "status", "own rating", "clinician", "milestones"], rows), note(GAS_NOTE))
    page.section("Where this comes from", *_provenance(report))
    page.footer = f"pe_ray {report['provenance']['pe_ray']} · {RULE} · as of {report['as_of']} · not a diagnosis"
    return page.html()


GAS_NOTE = (
    "Ratings run from -2 (much less than hoped) over 0 (as expected) to 2 (much more); T is 50 where goals are met."
)


def narrative(one: Mapping[str, Any]) -> str:
    """A series in words, made from its numbers."""
    trend, said = one["trend"], [WORDS[one["trend"]["label"]]]
    if trend["change"] is not None:
        low, high = trend["change_ci"]
        said.append(
            f"Over {trend['span_days']:.0f} days the fitted line moved by {trend['change']:+.1f} points "
            f"(95 % interval {low:+.1f} to {high:+.1f}, {trend['num_points']} scores)."
        )
    if trend["label"] in ("improving", "regressing") and trend["halves_agree"] is False:
        said.append("The two halves of the series do not move the same way: take the trend with caution.")
    if trend["provisional"] and trend["label"] != "insufficient":
        said.append("Fewer than eight scores: provisional.")
    if one["since_baseline"]:
        said.append(f"From first to last score: {one['since_baseline']} (Jacobson and Truax).")
    return " ".join(said)


def _series_parts(one: Mapping[str, Any]) -> list[Any]:
    scale = INSTRUMENTS[one["instrument"]]
    trend, last = one["trend"], one["points"][-1]
    label = trend["label"] + (" (provisional)" if trend["provisional"] and trend["label"] != "insufficient" else "")
    figures = [
        ("trend", label),
        (f"last score, {one['band']}", last["total"]),
        ("points a week", trend["slope_per_week"]),
        ("scores", trend["num_points"]),
    ]
    alt = (
        f"{one['name']} totals by date, from {one['points'][0]['total']} on {_day(one['points'][0]['at'])} to "
        f"{last['total']} on {_day(last['at'])}; caseness begins at {scale.caseness}. {narrative(one)}"
    )
    return [facts(figures), narrative(one), plot(_figure(one), alt=alt)]


def _figure(one: Mapping[str, Any]) -> Any:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    scale = INSTRUMENTS[one["instrument"]]
    times = [datetime.fromisoformat(p["at"]) for p in one["points"]]
    totals = [p["total"] for p in one["points"]]
    figure, ax = axes()
    ax.axhline(scale.caseness, color="#566373", linestyle="--", linewidth=1)
    ax.annotate(f"caseness {scale.caseness}", (1, scale.caseness), xycoords=("axes fraction", "data"), va="bottom",
                ha="right", color="#566373", fontsize=8)  # fmt: skip
    ax.plot(times, totals, marker="o", color=COLOURS[0], label="score")
    slope = one["trend"]["slope_per_week"]
    if slope is not None:
        weeks = [(t - times[0]).total_seconds() / (7 * 86400) for t in times]
        middle, level = sum(weeks) / len(weeks), sum(totals) / len(totals)
        ends = [level + slope * (w - middle) for w in (weeks[0], weeks[-1])]
        ax.plot([times[0], times[-1]], ends, color=COLOURS[1], linewidth=2.2, alpha=0.9, label="fitted line")
    ax.set_ylim(0, scale.max_total)
    ax.set_ylabel("total")
    locator = AutoDateLocator()
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.legend(loc="upper right", frameon=False, fontsize=8, ncols=2)
    return figure


def _glance(report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    entries = report["entries"]
    found: list[tuple[str, Any]] = [
        ("journal entries", sum(entries.values())),
        ("of them crisis events", entries.get("crisis", 0)),
        ("sessions", report["sessions"]),
        ("goals", len(report["goals"]["items"])),
    ]
    scores = ((f"goal T-score, {SOURCES[s]}", report["goals"]["t_score"][s]) for s in ("self", "clinician"))
    return found + [(name, score) for name, score in scores if score is not None]


def _goal_summary(goals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def last(goal: Mapping[str, Any], source: str) -> Any:
        return next((r["level"] for r in reversed(goal["ratings"]) if r["source"] == source), None)

    items = [
        {
            "id": goal["id"],
            "text": goal["text"],
            "status": goal["status"],
            "self": last(goal, "self"),
            "clinician": last(goal, "clinician"),
            "milestones": f"{sum(m['done_at'] is not None for m in goal['milestones'])} of {len(goal['milestones'])}",
        }
        for goal in goals
    ]
    scores = {source: t_score(latest_levels(goals, source)) for source in ("self", "clinician")}
    return {"items": items, "t_score": scores}


def _provenance(report: Mapping[str, Any]) -> list[Any]:
    rows = [
        [one["name"], field, source]
        for one in {s["instrument"]: s for s in report["series"]}.values()
        for field, source in one["sources"].items()
    ]
    made = report["provenance"]
    about = f"Rule {made['rule']}, pe_ray {made['pe_ray']}, input {made['input_hash']}."
    limits = "How often the rule is wrong was measured on simulated series, not on clinical ones."
    return [note(about), note(limits), *([table(["instrument", "figure", "source"], rows)] if rows else [])]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _day(at: str) -> str:
    return at[:10]
