"""Generated dialogues: repeatable, of the length and the faults that they claim, and readable by the five sources."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from pe_ray.bench import dialogues
from pe_ray.bench.dialogues import DIRT, SHAPES, config, counts, lines, said, write
from pe_ray.config.corpus import SHARES
from pe_ray.corpus import sources
from pe_ray.corpus.clean import clean_text
from pe_ray.corpus.dedup import normalise
from pe_ray.record import Record


def test_a_row_follows_from_the_seed_and_its_number() -> None:
    many = list(lines("standard", 60, seed=1))
    assert list(lines("standard", 20, seed=1, start=40)) == many[40:]
    assert list(lines("standard", 60, seed=2)) != many


def test_counts_are_the_shares_and_lose_none() -> None:
    assert counts(1000) == {s: round(1000 * share) for s, share in SHARES.items()}
    assert all(sum(counts(n).values()) == n for n in (100, 101, 999))


def test_every_source_reads_what_is_written(tmp_path: Path) -> None:
    write(tmp_path, 1000)
    found = [item for spec in config(tmp_path).corpus.sources for item in sources.read(spec)]
    records = [item for item in found if isinstance(item, Record)]
    by_source = Counter(r.source for r in records)
    assert len(found) == 1000
    assert 0 < len(found) - len(records) <= 10
    assert all(by_source[s] >= 0.98 * n for s, n in counts(1000).items())
    assert {len(r.messages) for r in records} == {2, 4}
    words = [sum(len(m.text.split()) for m in r.messages) for r in records]
    assert 100 <= sum(words) / len(words) <= 140


def test_copies_are_as_many_as_they_claim() -> None:
    texts = [normalise(" ".join(said("voice", n, 7))) for n in range(3000)]
    again = 1 - len(set(texts)) / len(texts)
    assert 0.03 < again < 0.07


@pytest.mark.parametrize("soil", [soil for _, soil in DIRT], ids=lambda soil: soil.__name__)
def test_what_makes_dirty_changes_text_and_cleaning_undoes_it(soil) -> None:
    turns = ["I don't know, and it hurts. Does it? She left. He stayed, and we wait.", "Let's see, and wait. It helps."]
    dirty = soil(turns)
    assert dirty != turns
    assert [normalise(clean_text(t)[0]) for t in dirty] == [normalise(t) for t in turns]


def test_rows_of_each_source_are_json_without_open_slots() -> None:
    for source, shape in SHAPES.items():
        for n in range(40):
            row = json.dumps(shape(said(source, n, 7), n, Random(n)))
            assert "{d}" not in row
            assert "{fact}" not in row


def test_a_near_copy_differs_here_and_there() -> None:
    text = " ".join(f"word{i}" for i in range(1000))
    copied = dialogues._substituted(text, Random(0)).split()
    assert 10 <= sum(not word.startswith("word") for word in copied) <= 70
