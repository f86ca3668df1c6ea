"""Run files of a corpus that cannot work, and what lies beside each: cases of `docs/how-to/errors.md`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

Before = Callable[[Path, ExitStack], dict[str, str]]

ANSWERS = """\
corpus:
  engine: local
  sources: [{kind: standard, path: answers.jsonl}]
  targets: {standard: 1}
"""
TABLE = """\
corpus:
  engine: local
  sources:
    - kind: table
      path: answers.csv
      becomes: standard
      columns: %s
  targets: {standard: 1}
"""


def answers(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "answers.jsonl").write_text(
        '{"question": "How do I sleep?", "answer": "What wakes you?", "topics": []}\n'
    )
    (folder / "answers.csv").write_text("title,reply\nHow do I sleep?,What wakes you?\n")
    (folder / "bench.csv").write_text("prompt\nHow would you sleep on a boat?\n")
    return {}


def index_of_three_words(folder: Path, stack: ExitStack) -> dict[str, str]:
    from pe_ray.corpus.neardup import Index

    Index.of(["How do I sleep?"], ["a"]).save(folder / "index")
    return answers(folder, stack)


def without_the_extra(folder: Path, stack: ExitStack) -> dict[str, str]:
    from pe_ray.safety.pii import breadth

    breadth._analyzer.cache_clear()
    stack.enter_context(mock.patch.dict(sys.modules, {"presidio_analyzer": None}))  # as where it is not installed
    return answers(folder, stack)


def no_rows(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "answers.jsonl").write_text("\n")
    return {}


RUN_FILES: tuple[tuple[str, str, Before], ...] = (
    ("an unknown setting of a source", "corpus:\n  sources: [{kind: voice, licens: MIT}]\n", answers),
    ("an unknown kind of source", "corpus:\n  sources: [{kind: voise}]\n", answers),
    ("no source", "corpus:\n  sources: []\n", answers),
    (
        "a table that becomes nothing",
        "corpus:\n  sources: [{kind: table, path: answers.csv, columns: {question: title}}]\n",
        answers,
    ),
    ("a table without columns", TABLE % "{}", answers),
    ("a column that the table does not have", TABLE % "{question: titel, answer: reply}", answers),
    ("a field that the source does not have", TABLE % "{qestion: title, answer: reply}", answers),
    ("shares that do not sum to 1", "corpus:\n  targets: {standard: 0.5, voice: 0.2}\n", answers),
    (
        "a share without a source",
        "corpus:\n  sources: [standard]\n  targets: {standard: 0.8, voice: 0.2}\n",
        answers,
    ),
    ("bands that do not divide the permutations", "corpus:\n  duplicates: {bands: 17}\n", answers),
    ("more held out than trained on", "corpus: {validation_share: 0.3, test_share: 0.25}\n", answers),
    ("an unknown format", "corpus: {formats: [jsonl, xml]}\n", answers),
    ("an evaluation set that is not there", ANSWERS + "  decontaminate: [{name: bench, path: gone.csv}]\n", answers),
    (
        "an evaluation set without that column",
        ANSWERS + "  decontaminate: [{name: bench, path: bench.csv, columns: [prompts]}]\n",
        answers,
    ),
    ("an index that is not there", ANSWERS + "  duplicates: {index: gone}\n", answers),
    ("an index of other settings", ANSWERS + "  duplicates: {index: index, ngram: 5}\n", index_of_three_words),
    ("an embedder that cannot be imported", ANSWERS + "  duplicates: {semantic: 'my_models:small'}\n", answers),
    ("a tier whose library is not installed", ANSWERS + "  pii: {tier: presidio}\n", without_the_extra),
    ("a model for names that is not there", ANSWERS + "  pii: {ner: models/names}\n", answers),
    ("sources without a row", ANSWERS, no_rows),
)
"""What is wrong, the run file, and what is made beside it; each is refused with exit code 2."""
