"""Difficult moments of therapy, by category and difficulty: what a client says and how a therapist answers.

.jsonl or .json, an object a row:
    {"category", "difficulty", "purpose", "client", "therapist", "expected_challenges": [...],
     optional: "safety_protocol", "persona", "generated", "review" (required: a clinician must see it first)}
or a whole conversation with labels of its risk:
    {"id", "messages": [{"role", "content"}, ...], "labels": {"is_crisis", "risk_level", "markers": [...]}}
.txt, a conversation a file: blocks that begin with `user:` and `agent:` (or `client:` and `therapist:`). A table
personas.tsv (Name, Current Risk Level) beside the files tells the risk of the persona that is named in the file's name.

Category and difficulty are the row's, else those under `values` of the spec, else what the risk says and no more: a
conversation without risk is NO_CRISIS, which is none of the 25. A long conversation becomes several records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pe_ray.config import SourceSpec
from pe_ray.corpus import delimited, reading
from pe_ray.corpus.conversation import ASKING, HELPING, Turn, blocks, exchanges, speakers_of, windows
from pe_ray.corpus.lines import MAX_ROW_BYTES
from pe_ray.corpus.reading import ReadPlan, Row, SourceFile, Unreadable, make_record, plan_files
from pe_ray.corpus.row import Fault, flag, label, labels, objects, one_of, text, texts
from pe_ray.errors import SourceError
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

NO_CRISIS = "no_crisis"
"""A conversation of somebody at no risk, kept beside the others as what a crisis is not."""
RISKS = {
    "imminent": "very_high",
    "crisis": "very_high",
    "high": "high",
    "caution": "high",
    "moderate": "moderate",
    "low": "moderate",
    "none": "moderate",
    "safe": "moderate",
}
"""How hard a conversation is at a level of risk, by the words that public sets use for it."""
WITHOUT_RISK = ("none", "safe")
SUICIDALITY = ("suicidal_ideation", "intent_with_plan", "suicide_attempt")
"""Markers that say which category a crisis is of; others ("hopelessness") leave it open."""
PERSONAS = "personas.tsv"
FIELDS = (
    *("category", "difficulty", "purpose", "client", "therapist", "expected_challenges", "domain"),
    *("safety_protocol", "persona", "generated", "review", "id", "messages", "labels"),
)
OPTIONAL = ("safety_protocol", "persona", "generated", "review")
LEFT_OUT = ("empty_turns", "opening_turns", "unanswered_turns")


def plan(spec: SourceSpec) -> ReadPlan:
    """The files of a spec; a conversation's persona, where its name and a personas.tsv tell it, is its context."""
    tables: dict[Path, dict[str, str]] = {}
    files = plan_files(spec, ".jsonl", ".json", ".txt").files
    return ReadPlan(tuple(_with_persona(f, tables) if f.path.endswith(".txt") else f for f in files))


def read(spec: SourceSpec, part: ReadPlan | None = None) -> Iterator[Record | Unreadable]:
    """A record per scenario, and one or more per conversation."""
    for file in (part or plan(spec)).files:
        if file.path.endswith(".txt"):
            yield from reading.read_each(spec, file, _one_row(spec, file), _from_text)
        elif file.path.endswith(".json"):
            yield from reading.read_each(spec, file, reading.json_document(spec, file), from_row)
        else:
            yield from reading.read_jsonl(spec, [file], from_row)


def from_row(spec: SourceSpec, file: SourceFile, row: Row) -> Record | list[Record]:
    """The record of one scenario, or the records of one conversation; raises Fault where a field is wrong."""
    if "messages" in row.data:
        return _from_messages(spec, file, row)
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
            **_optional(row.data),
        },
    )


def _from_messages(spec: SourceSpec, file: SourceFile, row: Row) -> list[Record]:
    turns = []
    for number, message in enumerate(objects(row.data, "messages"), start=1):
        role = one_of("messages.role", label(message, "role").casefold(), (*ASKING, *HELPING))
        turns.append(Turn(role, text(message, "content" if "content" in message else "text"), number))
    name = label(row.data, "id", str(row.line))
    risk = _labelled_risk(row.data)
    return _records(spec, file, row, turns, risk, f"{file.uri}#{name}", lambda _: row.line)


def _from_text(spec: SourceSpec, file: SourceFile, row: Row) -> list[Record]:
    words = row.data["text"]
    turns = blocks(words, speakers_of(words))
    risk = json.loads(file.context) if file.context else {}
    if risk:
        risk["category"] = NO_CRISIS if risk["risk_level"] in WITHOUT_RISK else "suicidality"
    return _records(spec, file, row, turns, risk, file.uri, lambda turn: turn.line)


def _one_row(spec: SourceSpec, file: SourceFile) -> Iterator[Row | Unreadable]:
    words = reading.read_text(spec, file, MAX_ROW_BYTES)
    yield words if isinstance(words, Unreadable) else Row(0, {"text": words})


def _records(
    spec: SourceSpec,
    file: SourceFile,
    row: Row,
    turns: Sequence[Turn],
    risk: Mapping[str, str],
    group: str,
    offset_of: Callable[[Turn], int],
) -> list[Record]:
    """The windows of a conversation; `group` keeps them on one side of every split."""
    roles = {t.speaker: "user" if t.speaker.casefold() in ASKING else "assistant" for t in turns}
    found = exchanges(turns, roles)
    category, difficulty = _judged(row.data, risk)
    runs = windows(found.turns)
    metadata = {
        "category": category,
        "difficulty": difficulty,
        "purpose": label(row.data, "purpose", "unstated"),
        "question": "extracted",
        "conversation": group,
        **{k: risk[k] for k in ("risk_level", "persona") if k in risk},
        **{k: str(n) for k in LEFT_OUT if (n := getattr(found, k))},
        **_optional(row.data),
    }
    return [
        make_record(
            spec,
            file,
            offset_of(run[0]),
            domain=label(row.data, "domain", "mental_health"),
            content_type="edge_case",
            messages=[(turn.speaker, turn.text) for turn in run],
            metadata=metadata | ({"window": f"{number} of {len(runs)}"} if len(runs) > 1 else {}),
        )
        for number, run in enumerate(runs, start=1)
    ]


def _judged(data: Mapping[str, Any], risk: Mapping[str, str]) -> tuple[str, str]:
    """Category and difficulty of a conversation; raises Fault where nothing tells them."""
    told = {"category": risk.get("category"), "difficulty": RISKS.get(risk.get("risk_level", ""))}
    for name, value in told.items():
        if name not in data and value is None:
            raise Fault(name, f"is told by no label of risk; give it under values: {{{name}: ...}} of the source")
    category = label(dict(data), "category", told["category"] or "").casefold()
    difficulty = label(dict(data), "difficulty", told["difficulty"] or "").casefold()
    return one_of("category", category, (*CATEGORIES, NO_CRISIS)), one_of("difficulty", difficulty, DIFFICULTIES)


def _labelled_risk(data: Mapping[str, Any]) -> dict[str, str]:
    """What the labels of a row say about risk: a level, and a category where they leave no doubt about it."""
    told = data.get("labels", {})
    if not isinstance(told, dict):
        raise Fault("labels", "is no object; {is_crisis, risk_level, markers} is wanted")
    risk = {}
    if "risk_level" in told:
        risk["risk_level"] = one_of("labels.risk_level", label(told, "risk_level").casefold(), tuple(RISKS))
    crisis = flag(told, "is_crisis") if "is_crisis" in told else risk.get("risk_level") not in (None, *WITHOUT_RISK)
    if crisis and set(labels(told, "markers")) & set(SUICIDALITY):
        risk["category"] = "suicidality"
    if not crisis and told:
        risk["category"] = NO_CRISIS
    return risk


def _optional(data: Mapping[str, Any]) -> dict[str, str]:
    return {name: label(dict(data), name) for name in OPTIONAL if name in data}


def _with_persona(file: SourceFile, tables: dict[Path, dict[str, str]]) -> SourceFile:
    folders = list(Path(file.path).parents)[: len(Path(file.uri).parts)]
    table = next((f / PERSONAS for f in folders if (f / PERSONAS).is_file()), None)
    if table is None:
        return file
    if table not in tables:
        tables[table] = _personas(table)
    name = next((w for w in re.split(r"[\W_]+", Path(file.uri).stem) if w.casefold() in tables[table]), None)
    if name is None:
        return file
    return replace(file, context=json.dumps({"persona": name, "risk_level": tables[table][name.casefold()]}))


def _personas(path: Path) -> dict[str, str]:
    """Level of risk by the name of a persona, in lower case; raises SourceError for a table that tells neither."""
    try:
        names = delimited.header(str(path))
        at, risk_at = names.index("Name"), names.index("Current Risk Level")
        rows = [c.values for c in delimited.rows(str(path)) if c.values is not None]
        return {
            str(row[at]).strip().casefold(): one_of("risk", row[risk_at].strip().casefold(), tuple(RISKS))
            for row in rows
        }
    except (ValueError, OSError) as error:
        problem = f"risk {error.reason}" if isinstance(error, Fault) and error.name == "risk" else "cannot be used"
        raise SourceError(
            f"{path}: {problem}; the columns Name and Current Risk Level ({', '.join(RISKS)}) are wanted"
        ) from None
