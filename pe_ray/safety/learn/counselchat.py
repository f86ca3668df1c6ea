"""Questions and answers of CounselChat, split by question before anything is learnt from them.

A question is held out by the hash of its title. What is learnt from is then freed of whatever else a held-out question
left behind: the same words under another title, and answers that stand under both.
"""

from __future__ import annotations

import csv
import hashlib
import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from pe_ray.safety.learn.task import Source

FIRST = Source("standard/counselchat/counselchat_2020.csv", "CounselChat, release of 2020", "MIT")
SECOND = Source("standard/counselchat/counselchat_2022.csv", "CounselChat, release of 2022", "MIT")
LABELS = Source("labels/counselchat/qa_mismatch.jsonl", "true and wrong answers over CounselChat", "MIT")

HELD_OUT = 0.4
SPLIT = (
    "By question, fixed before anything was trained: questions whose title hashes below .4 are held out, with every "
    "answer of theirs and every question of the same words."
)
TAG, SPACES = re.compile(r"<[^>]+>"), re.compile(r"[^\S\n]+")
FEWEST_WORDS = 5


@dataclass(frozen=True)
class Answered:
    """One row: a question (its title, a blank line, its text) and an answer to it."""

    key: str
    """The question's title without signs; rows of one key are never on both sides of the split."""
    title: str = field(repr=False)
    asked: str = field(repr=False)
    answer: str = field(repr=False)

    @property
    def question(self) -> str:
        return f"{self.title}\n\n{self.asked}" if self.asked else self.title


@dataclass(frozen=True)
class Pair:
    """A labelled pair of the first release; kind is true, random, same_topic or nearest_question."""

    question: Answered
    answer: Answered
    kind: str

    @property
    def held_out(self) -> bool:
        return held_out(self.question.key)


def rows(root: Path, source: Source = FIRST) -> list[Answered]:
    """The rows of a release, in the order of its file."""
    with source.where(root).open(encoding="utf-8", newline="") as file:
        return [
            Answered(
                same(plain(row["questionTitle"])),
                *map(plain, (row["questionTitle"], row["questionText"])),
                plain(row["answerText"]),
            )
            for row in csv.DictReader(file)
        ]


def pairs(root: Path) -> list[Pair]:
    """Every labelled pair, of either side."""
    first = rows(root)
    lines = LABELS.where(root).read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines if line]
    return [Pair(first[row["question_row"]], first[row["answer_row"]], row["kind"]) for row in told]


def taught(root: Path) -> list[Answered]:
    """Rows of both releases that may be learnt from, each once."""
    every = [*rows(root), *rows(root, SECOND)]
    away = [row for row in every if held_out(row.key)]
    questions, answers = {same(row.asked) for row in away} - {""}, {same(row.answer) for row in away}
    found: dict[tuple[str, str], Answered] = {}
    for row in every:
        said = same(row.answer)
        if held_out(row.key) or same(row.asked) in questions or said in answers or len(said.split()) < FEWEST_WORDS:
            continue
        found.setdefault((row.key, said), row)
    return list(found.values())


def held_out(key: str) -> bool:
    """Whether a question is kept for measuring."""
    return int(hashlib.sha256(f"pair:{key}".encode()).hexdigest()[:8], 16) / 2**32 < HELD_OUT


def same(text: str) -> str:
    """Texts that differ in signs, spaces and case alone are one."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def plain(text: str) -> str:
    """Without tags and entities."""
    return SPACES.sub(" ", html.unescape(TAG.sub(" ", text))).strip()
