"""How often do the checks of replies reject what is unsafe, wrong or out of tune, and what do they cost in good ones?

    for row in results(): print(row["name"], row["value"], row["interval"])

A fourth file, `unsafe_sentences.jsonl`, holds single sentences that came later: a set in whose light the rules were
widened, and a fresh one that no rule was changed for: it tells what a rule finds in words that are new to it.

Three suites, written before the rules that they test and by the same author (`suites/README.md`): replies to difficult
moments, statements about disorders and techniques, tones. Half of each, by a hash of the id, was never looked at while
the rules were improved; but whoever writes both knows what he wrote, so that even that half flatters. Both are told.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pe_ray.corpus.quality import appropriateness, authenticity, evidence
from pe_ray.evaluate.statistics import clopper_pearson
from pe_ray.record import Message, Record
from pe_ray.safety.appropriateness import assess, categories

HALVES = ("development", "held_out")
SPLIT = "half by the parity of sha256(id), fixed before the first run"
LABEL_SOURCE = "one author, who is no clinician, before the rules; synthetic; not clinically validated"
BAD = {"unsafe", "wrong", "off"}
"""Labels of rows that a check should reject; the others it should keep."""


STRICTEST = "paranoid_accusations"
"""A category that bars every rule of what must not be said."""


@dataclass(frozen=True)
class Suite:
    """A file of rows, how a row becomes a record, and the check that it tries."""

    name: str
    record: Callable[[Mapping[str, Any]], Record]
    score: Callable[[Record], float | None]
    minimum: float
    flagged_below: float | None = None
    """A score under this one is flagged in the report, though it rejects nothing; None: only rejects are told."""


def results() -> list[dict[str, Any]]:
    """One row a figure: share of bad rows rejected, and of good ones kept, by suite and half."""
    found: list[dict[str, Any]] = []
    for suite in suites():
        for half in (*HALVES, "all"):
            found += _rows(suite, half)
    return [*found, *_sentences(), *_by_category(next(iter(suites())))]


def suites() -> tuple[Suite, ...]:
    """The three of them, at the thresholds that ship."""
    return (
        Suite("appropriateness", _edge_case, _score(appropriateness.check), appropriateness.DEFAULT_MIN),
        Suite("evidence", _statement, _score(evidence.check), evidence.DEFAULT_MIN, 1.0),
        Suite("authenticity", _answered, _score(authenticity.check), authenticity.DEFAULT_MIN, 1.0),
    )


def half_of(row_id: str) -> str:
    """Which half a row belongs to, for ever."""
    return HALVES[int(hashlib.sha256(row_id.encode()).hexdigest(), 16) % 2]


@cache
def judged(name: str) -> tuple[tuple[Mapping[str, Any], float | None], ...]:
    """The rows of a suite, each with its score; None where the check has nothing to say, which keeps it."""
    suite = next(s for s in suites() if s.name == name)
    lines = (files("pe_ray.evaluate") / "suites" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple((row, suite.score(suite.record(row))) for row in map(json.loads, lines))


def _rows(suite: Suite, half: str) -> Iterator[dict[str, Any]]:
    rows = [(row, score) for row, score in judged(suite.name) if half in ("all", half_of(row["id"]))]
    told = (("rejected", suite.minimum), ("flagged", suite.flagged_below))
    for what, below in ((what, below) for what, below in told if below is not None):
        bad = [score is not None and score < below for row, score in rows if row["label"] in BAD]
        good = [score is None or score >= below for row, score in rows if row["label"] not in BAD]
        kept = "kept" if what == "rejected" else "unflagged"
        yield _row(
            f"{suite.name}.{what}", sum(bad), len(bad), suite.name, half, f"bad rows with a score under {below:g}"
        )
        yield _row(f"{suite.name}.{kept}", sum(good), len(good), suite.name, half, f"good rows, the same {below:g}")


def _sentences() -> Iterator[dict[str, Any]]:
    """Share of unsafe sentences in which any rule of what must not be said is broken, by set."""
    lines = (files("pe_ray.evaluate") / "suites" / "unsafe_sentences.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for name in dict.fromkeys(row["set"] for row in rows):
        texts = [row["text"] for row in rows if row["set"] == name]
        hits = sum(bool(assess([text], STRICTEST, whole=False).broken) for text in texts)
        told = "sentences that the rules were widened for" if name == "worked_from" else "no rule was changed for them"
        yield _row(f"unsafe_sentences.found.{name}", hits, len(texts), "unsafe_sentences", "all", told)


def _by_category(suite: Suite) -> Iterator[dict[str, Any]]:
    """Both shares of each category over the whole suite; eight and eight rows tell little."""
    hits: Counter[tuple[str, bool]] = Counter()
    for row, score in judged(suite.name):
        bad = row["label"] in BAD
        hits[row["category"], bad] += (score is not None and score < suite.minimum) == bad
    trials = Counter((row["category"], row["label"] in BAD) for row, _ in judged(suite.name))
    for name in categories():
        for bad, what in ((True, "rejected"), (False, "kept")):
            yield _row(f"{suite.name}.{what}.{name}", hits[name, bad], trials[name, bad], suite.name, "all", "")


def _row(name: str, hits: int, trials: int, suite: str, half: str, reason: str) -> dict[str, Any]:
    share = clopper_pearson(hits, trials)
    return {
        "name": name,
        "value": share.value,
        "unit": "share",
        "better": "higher",
        "bound": None,
        "ok": None,
        "reason": f"{reason}; {LABEL_SOURCE}".lstrip("; "),
        "set": f"suites/{suite}.jsonl",
        "split": half if half == "all" else f"{half} ({SPLIT})",
        "n": trials,
        "interval": None if share.low is None else [round(share.low, 4), round(share.high or 0.0, 4)],
    }


def _score(check: Callable[[Record], Any]) -> Callable[[Record], float | None]:
    def score(record: Record) -> float | None:
        verdict = check(record)
        return None if verdict is None else float(verdict.score)

    return score


def _edge_case(row: Mapping[str, Any]) -> Record:
    return _record("edge_case", row["client"], row["reply"], category=row["category"])


def _statement(row: Mapping[str, Any]) -> Record:
    return _record("qa", "What should I know?", row["reply"])


def _answered(row: Mapping[str, Any]) -> Record:
    return _record("qa", row["client"], row["reply"])


def _record(content_type: str, client: str, reply: str, **metadata: str) -> Record:
    return Record.create(
        source="edge_case" if content_type == "edge_case" else "standard",
        domain="mental_health",
        content_type=content_type,
        messages=[Message("user", client), Message("assistant", reply)],
        uri="suite",
        offset=0,
        licence="",
        attribution="",
        metadata=metadata,
    )
