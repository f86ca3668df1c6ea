"""Difficult moments of therapy, by category and difficulty: what a client says and how a therapist answers.

One JSON object per line:
{"category", "difficulty", "purpose", "client", "therapist", "expected_challenges": [...]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import ReadPlan, Row, SourceFile, Unreadable, make_record, plan_files, read_jsonl
from pe_ray.corpus.row import label, one_of, text, texts
from pe_ray.record import Record

DIFFICULTIES = ("moderate", "high", "very_high")

_BY_DIFFICULTY = {
    "very_high": ("suicidality", "homicidal_client", "psychotic_episode", "child_abuse_reporting"),
    "high": (
        "substance_abuse_crisis",
        "severe_dissociation",
        "manic_episode",
        "trauma_flashback",
        "eating_disorder_medical",
        "borderline_crisis",
        "paranoid_accusations",
        "sexual_trauma_disclosure",
        "elder_abuse_concerns",
        "domestic_violence_active",
        "religious_delusions",
        "grief_complicated",
    ),
    "moderate": (
        "stalking_harassment",
        "medication_refusal",
        "family_therapy_conflict",
        "adolescent_defiance",
        "couple_therapy_betrayal",
        "cultural_conflicts",
        "therapist_boundaries",
        "therapy_resistance",
        "chronic_pain_despair",
    ),
}
CATEGORIES = {category: usual for usual, group in _BY_DIFFICULTY.items() for category in group}
"""The 25 categories and their usual difficulty; one scenario may be easier or harder."""


def plan(spec: SourceSpec) -> ReadPlan:
    """The .jsonl files of a spec."""
    return plan_files(spec, ".jsonl")


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """A record per scenario."""
    return read_jsonl(spec, (part or plan(spec)).files, _record)


def _record(spec: SourceSpec, file: SourceFile, row: Row) -> Record:
    category = one_of("category", label(row.data, "category").casefold(), tuple(CATEGORIES))
    difficulty = one_of("difficulty", label(row.data, "difficulty").casefold(), DIFFICULTIES)
    return make_record(
        spec,
        file,
        row.line,
        domain=label(row.data, "domain", "mental_health"),
        content_type="edge_case",
        messages=[("user", text(row.data, "client")), ("assistant", text(row.data, "therapist"))],
        metadata={
            "category": category,
            "difficulty": difficulty,
            "purpose": label(row.data, "purpose", "unstated"),
            "expected_challenges": json.dumps(texts(row.data, "expected_challenges"), ensure_ascii=False),
            "question": "contextual",
        },
    )
