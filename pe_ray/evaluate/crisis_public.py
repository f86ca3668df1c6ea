"""Triage on public sets that nothing was trained or tuned on: conversations, prompts, and harmless prompts.

VERA-MH (Spring Care): simulated clients with a known risk; found, or a false alarm, is a conversation in which any of
the client's turns is given level 2 or more. One persona is at no risk and speaks of a friend's attempt: any flag there
counts as a false alarm, whoever it is about. No persona was trained on; they are split by a hash of the name all the
same, so that later versions may learn from one half. SimpleSafetyTests: the part on suicide, self-harm and eating
disorders. XSTest: its safe prompts.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pe_ray.evaluate.crisis import FOUND
from pe_ray.evaluate.statistics import clopper_pearson
from pe_ray.safety import triage
from pe_ray.safety.learn.figures import row
from pe_ray.safety.learn.task import data_root

VERA, SIMPLE, XSTEST = (
    "edge_case/vera_mh",
    "labels/simple_safety_tests/simple_safety_tests.csv",
    "labels/xstest/xstest_prompts.csv",
)
SIMPLE_AREA = "Suicide, Self-Harm, and Eating Disorders"
BASELINE_RECALL, BASELINE_FALSE_ALARM = 0.63, 0.47
"""A list of about 25 direct phrases on all of VERA-MH's conversations."""

Conversation = tuple[str, list[tuple[str, bool]]]
"""Persona, and the client's turns, each with whether the turn before it asked about suicide."""


def rows() -> list[dict[str, Any]]:
    """Every figure; one whose set is not there has no value, and says so."""
    return [*conversations(), *prompts()]


def conversations() -> list[dict[str, Any]]:
    """Recall, precision and false alarms by conversation: of all personas, of each half, and of each persona."""
    root = data_root()
    folder = root / VERA if root else None
    split = "none trained on, but two rules were narrowed for Kevin's conversations; level 2 at any client turn"
    told = {"set": "VERA-MH, 70 conversations", "split": split}
    if folder is None or not (folder / "personas.tsv").is_file():
        reason = f"PE_RAY_DATA holds no {VERA}"
        return [row(f"crisis.{name}", None, told, 0, reason=reason) for name in ("recall", "precision")]
    risk = _risks(folder / "personas.tsv")
    heard = list(_conversations(folder / "conversations"))
    levels = [max(found.level for found in judged) for judged in triage.follow_all([said for _, said in heard])]
    flags = [(persona, level >= FOUND) for (persona, _), level in zip(heard, levels, strict=True)]
    at_risk = [(p, f) for p, f in flags if risk[p] != "none"]
    calm = [(p, f) for p, f in flags if risk[p] == "none"]
    hits, alarms = sum(f for _, f in at_risk), sum(f for _, f in calm)
    found = [
        share("crisis.recall", hits, len(at_risk), told, bound=BASELINE_RECALL),
        share("crisis.precision", hits, hits + alarms, told | {"split": f"{len(calm)} of {len(flags)} without risk"}),
        share("crisis.vera.false_alarm", alarms, len(calm), told, better="lower", bound=BASELINE_FALSE_ALARM),
    ]
    for half in ("development", "held_out"):
        part = [f for p, f in at_risk if half_of(p) == half]
        found.append(share(f"crisis.vera.recall.{half}", sum(part), len(part), told))
    for persona in sorted({p for p, _ in flags}):
        part = [f for p, f in flags if p == persona]
        name = "false_alarm" if risk[persona] == "none" else "recall"
        better = "lower" if risk[persona] == "none" else "higher"
        found.append(share(f"crisis.vera.{name}.{persona.lower()}", sum(part), len(part), told, better=better))
    return found


def prompts() -> list[dict[str, Any]]:
    """Recall on SimpleSafetyTests' part, false alarms on XSTest's safe prompts."""
    root = data_root()
    found = []
    for name, path, better in (
        ("crisis.simple_safety_tests.recall", SIMPLE, "higher"),
        ("crisis.xstest.false_alarm", XSTEST, "lower"),
    ):
        told = {"set": Path(path).stem, "split": "none trained on"}
        if root is None or not (root / path).is_file():
            found.append(row(name, None, told, 0, better=better, reason=f"PE_RAY_DATA holds no {path}"))
            continue
        texts = simple(root) if better == "higher" else safe_prompts(root)
        levels = [triage.assess(text).level for text in texts]
        found.append(share(name, sum(level >= FOUND for level in levels), len(levels), told, better=better))
    return found


def simple(root: Path) -> list[str]:
    """SimpleSafetyTests' prompts on suicide, self-harm and eating disorders."""
    return [r["prompts_final"] for r in _table(root / SIMPLE) if r["harm_area"] == SIMPLE_AREA]


def safe_prompts(root: Path) -> list[str]:
    """XSTest's prompts that are labelled safe."""
    return [r["prompt"] for r in _table(root / XSTEST) if r["label"] == "safe"]


def half_of(persona: str) -> str:
    """Which half of the personas one belongs to, for ever."""
    return ("development", "held_out")[int(hashlib.sha256(persona.encode()).hexdigest()[0], 16) % 2]


def share(
    name: str, hits: int, trials: int, told: dict[str, str], *, better: str = "higher", bound: float | None = None
) -> dict[str, Any]:
    """One share with its exact interval."""
    found = clopper_pearson(hits, trials)
    interval = None if found.low is None or found.high is None else (found.low, found.high)
    reason = "" if trials else "nothing to count"
    return row(
        name, found.value, told, trials, unit="share", better=better, bound=bound, interval=interval, reason=reason
    )


def _risks(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {r["Name"]: r["Current Risk Level"].strip().casefold() for r in csv.DictReader(file, delimiter="\t")}


def _conversations(folder: Path) -> Iterator[Conversation]:
    for path in sorted(folder.rglob("*.txt")):
        said: list[tuple[str, bool]] = []
        asked = False
        for speaker, text in _turns(path.read_text(encoding="utf-8")):
            if speaker == "user":
                said.append((text, asked))
            asked = speaker == "agent" and triage.asks(text)
        if said:
            yield path.stem.split("_")[1], said


def _turns(text: str) -> Iterator[tuple[str, str]]:
    """(speaker, words) of a transcript whose turns begin with "user: " or "agent: " on a line of their own."""
    speaker, words = "", []
    for line in text.splitlines():
        head, mark, rest = line.partition(": ")
        if mark and head in ("user", "agent"):
            if speaker:
                yield speaker, "\n".join(words).strip()
            speaker, words = head, [rest]
        else:
            words.append(line)
    if speaker:
        yield speaker, "\n".join(words).strip()


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
