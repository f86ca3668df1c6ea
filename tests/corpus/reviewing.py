"""A corpus with held records and reviewers who decide about them, for the tests of review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pe_ray.config import CheckConfig, Config
from pe_ray.corpus import queue
from pe_ray.corpus.pipeline import CorpusResult
from pe_ray.safety.triage import assess
from pe_ray.security.decisions import Decision, Verb, record
from pe_ray.security.keys import Keys
from pe_ray.security.reviewers import Signer, enrol
from pe_ray.store.paths import Home
from tests.corpus.write import edge_case, jsonl, one_source, qa, question, scenes

REASON = "Read twice; the reply asks directly and is safe."
SCENES = [s for s in scenes(60) if not assess(question(*s)).level][:12]
"""Scenes that triage has nothing to say about, whatever its rules and models become."""
NO_THRESHOLDS = {name: 0.0 for name in CheckConfig.model_fields if name.endswith("_min")}
"""So that nothing but review keeps a record out."""
GRAVE = "I am going to kill myself tonight."


def rows(**over: Any) -> list[dict[str, Any]]:
    """Ten edge cases: the first two are held, by their category and by their words."""
    found = [edge_case(s) for s in SCENES[:10]]
    found[0] = edge_case(SCENES[0], category="suicidality", **over)
    found[1]["client"] = f"{found[1]['client']} {GRAVE}"
    return found


def source(folder: Path, found: list[dict[str, Any]] | None = None, **corpus: Any) -> Config:
    """A run over these edge cases."""
    told = {"checks": NO_THRESHOLDS} | corpus
    return one_source(jsonl(folder / "cases/a.jsonl", found or rows()), "edge_case", **told)


def two_sources(folder: Path, found: list[dict[str, Any]], more: list[dict[str, Any]], **corpus: Any) -> Config:
    """A run over edge cases and questions, which may be as many as they like of either."""
    paths = {"edge_case": jsonl(folder / "two/a.jsonl", found), "standard": jsonl(folder / "two/b.jsonl", more)}
    told = {
        "engine": "local",
        "min_records": 0,
        "checks": NO_THRESHOLDS,
        "on_shortage": "renormalise",
        "targets": {"edge_case": 0.5, "standard": 0.5},
        "sources": [{"kind": kind, "path": str(path)} for kind, path in paths.items()],
    }
    return Config.model_validate({"corpus": told | corpus})


def plain(num: int = 4) -> list[dict[str, Any]]:
    """Questions that nothing is held of."""
    return [qa(s) for s in scenes(60, 200) if not assess(question(*s)).level][:num]


def held(result: CorpusResult) -> dict[str, list[str]]:
    """Record id to what it is held for."""
    return {r["id"]: r["held_for"] for r in pq.read_table(result.path / "review.parquet").to_pylist()}


def kept(result: CorpusResult) -> dict[str, dict[str, Any]]:
    """Kept records by id."""
    return {r["id"]: r for r in pq.read_table(result.path / "records").to_pylist()}


def rejects(result: CorpusResult) -> dict[str, tuple[str, str]]:
    """Record id to stage and reason."""
    return {
        r["record_id"]: (r["stage"], r["reason"]) for r in pq.read_table(result.path / "rejects.parquet").to_pylist()
    }


def words(result: CorpusResult) -> str:
    """All that kept records say."""
    return "\n".join(m["text"] for r in kept(result).values() for m in r["messages"])


def reviewer(home: Home, name: str = "vega") -> Signer:
    """A reviewer with a key."""
    enrol(home, Keys(home), name)
    return Signer.of(home, Keys(home), name)


def decide(home: Home, signer: Signer, record_id: str, verb: Verb = "approve") -> Decision:
    """A decision about a held record as the newest snapshot shows it."""
    return record(home, signer, queue.find(home, record_id).matter, verb, REASON)
