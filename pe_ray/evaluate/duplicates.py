"""Real duplicates: the two releases of CounselChat, whose answers are the same in words and not in bytes.

`labels/counselchat/dedup_pairs.jsonl` says which answer of one release is which of the other (about .5 % of its labels
are wrong). A pair counts as found where the de-duplication of a corpus would bring the two answers together: equal once
they are normalised, or in one cluster of verified near-duplicates. Settings are those of every corpus (word 3-grams,
Jaccard .7); nothing is tuned here, and no text of it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_ray.evaluate.crisis_public import share
from pe_ray.safety.learn.figures import row

PAIRS = "${PE_RAY_DATA}/labels/counselchat/dedup_pairs.jsonl"
RELEASES = {"row_2020": "counselchat_2020.csv", "row_2022": "counselchat_2022.csv"}
ANSWERS = "${PE_RAY_DATA}/standard/counselchat"
ABSENT = "PE_RAY_DATA holds no labels/counselchat and standard/counselchat"
BOUND = 0.99

Pair = tuple[int, int]
"""Rows of the two answers, counted through both releases."""


@dataclass(frozen=True)
class Found:
    """How pairs were told: of `said` pairs taken for one answer `both` are; `same` pairs are one answer."""

    both: int
    said: int
    same: int
    pairs: int


def rows() -> list[dict[str, Any]]:
    """dedup.precision and dedup.recall after cleaning."""
    told = {"set": "CounselChat, releases of 2020 and 2022", "split": "nothing is fitted"}
    found = measure()
    if not found:
        return [row(f"dedup.{name}", None, told, 0, bound=BOUND, reason=ABSENT) for name in ("precision", "recall")]
    cleaned = found[""]
    return [
        share("dedup.precision", cleaned.both, cleaned.said, told, bound=BOUND),
        share("dedup.recall", cleaned.both, cleaned.same, told, bound=BOUND),
    ]


def measure() -> dict[str, Found]:
    """After cleaning (the key is empty), and after less than that; empty where the sets are not there."""
    from pe_ray.corpus.clean import clean_text
    from pe_ray.corpus.dedup import normalise
    from pe_ray.corpus.reading import expand

    path, folder = expand(PAIRS), expand(ANSWERS)
    if not path.is_file() or not folder.is_dir():
        return {}
    answers = {key: _answers(folder / name) for key, name in RELEASES.items()}
    raw = [answer for release in answers.values() for answer in release]
    labels = _labels(path, len(answers["row_2020"]))
    cleaned = [clean_text(answer)[0] for answer in raw]
    equal = [normalise(answer) for answer in cleaned]
    told = {
        "": _together(cleaned, equal, labels),
        "raw.equal": [raw[a] == raw[b] for a, b in labels],
        "raw.near": _together(raw, [normalise(answer) for answer in raw], labels),
        "cleaned.equal": [equal[a] == equal[b] for a, b in labels],
    }
    return {name: _counted(found, labels) for name, found in told.items()}


def _counted(found: Sequence[bool], labels: dict[Pair, bool]) -> Found:
    both = sum(f and same for f, same in zip(found, labels.values(), strict=True))
    return Found(both, sum(found), sum(labels.values()), len(labels))


def _together(texts: Sequence[str], equal: Sequence[str], pairs: dict[Pair, bool]) -> list[bool]:
    """Whether each pair is one text, or in one cluster of near-duplicates."""
    from pe_ray.corpus.neardup import near_duplicates

    root = near_duplicates(list(texts)).root
    return [bool(equal[a] == equal[b] or root[a] == root[b]) for a, b in pairs]


def _labels(path: Path, first_of_2022: int) -> dict[Pair, bool]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return {(row["row_2020"], first_of_2022 + row["row_2022"]): bool(row["same_answer"]) for row in rows}


def _answers(path: Path) -> list[str]:
    """The column of answers, with line ends as they stand; an absent one is an empty text, so that rows keep count."""
    from pe_ray.corpus import delimited

    at = delimited.header(str(path)).index("answerText")
    rows = (cells.values for cells in delimited.rows(str(path)))
    return [str(values[at] or "") if values is not None else "" for values in rows]
