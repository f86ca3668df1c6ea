from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from pe_ray.config import CorpusConfig
from pe_ray.corpus.card import NAME, CardFacts, facts_of, render
from tests.corpus.finished import snapshot, talk

STAGE = {
    "records_in": 1240,
    "kept": 30,
    "rejected": 1200,
    "held_for_review": 8,
    "errors": 2,
    "per_source": {"standard": {"in": 1240, "kept": 30, "share": 1.0, "target": 0.3, "short": True}},
    "fingerprint": "fp30",
}
FACTS = CardFacts(
    name="small",
    fingerprint="fp30",
    stage=STAGE,
    splits={"train": {"psychology": 4, "mental_health": 20}, "validation": {"psychology": 6}, "test": {}},
    thresholds={"coherence": 0.05, "novel": 0.5},
    review_level=2,
    pii_tier="patterns",
    on_shortage="fail",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    origins = [("CC BY 4.0", "Ada | Ben"), ("Apache-2.0", "<b>Cleo</b>"), ("unstated", "unstated")]
    records = [talk(i, licence=origins[i % 3][0], attribution=origins[i % 3][1]) for i in range(30)]
    return snapshot(tmp_path_factory.mktemp("card"), records)


def card(corpus: Path, **over: Any) -> str:
    return render(replace(FACTS, **over), corpus / "records")


def header(text: str) -> dict[str, Any]:
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def tables(text: str) -> list[list[str]]:
    """The tables of the page, line by line."""
    return [block.split("\n") for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]


def test_the_header_is_what_the_hub_reads(corpus: Path) -> None:
    head = header(card(corpus, languages={"en": 28, "und": 1, "de": 1}))
    assert head["license"] == ["apache-2.0", "cc-by-4.0", "unknown"]
    assert head["language"] == ["en", "de"]
    assert head["size_categories"] == ["n<1K"]
    assert head["configs"][0]["data_files"] == [{"split": "kept", "path": "records/*.parquet"}]
    assert "language" not in header(card(corpus))


@pytest.mark.parametrize(("kept", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (8000, "1K<n<10K"), (10**8, "n>10M")])
def test_the_size_is_the_hubs_class(corpus: Path, kept: int, size: str) -> None:
    assert header(card(corpus, stage=STAGE | {"kept": kept}))["size_categories"] == [size]


def test_datasets_reads_the_folder_through_the_card(corpus: Path) -> None:
    from datasets import load_dataset

    (corpus / NAME).write_text(card(corpus), encoding="utf-8")
    (corpus / "other.parquet").write_bytes((corpus / "records" / "00000.parquet").read_bytes())
    with tempfile.TemporaryDirectory() as cache:
        found = load_dataset(str(corpus), split="kept", cache_dir=cache)
        train = found.filter(lambda record: record["split"] == "train")
        assert (len(found), len(train)) == (30, 24)


def test_every_table_is_whole(corpus: Path) -> None:
    text = card(
        corpus, held={"suicidality": 5}, personal_data={"email": 3}, evaluation={"bench": 2}, duplicates={"near": 4}
    )
    found = tables(text)
    assert len(found) == 6
    for lines in found:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line}
        assert len(cells) == 1, lines[0]


def test_the_card_says_what_happened(corpus: Path) -> None:
    text = " ".join(
        card(
            corpus,
            held={"suicidality": 5},
            personal_data={"email": 3},
            evaluation={"bench": 2},
            duplicates={"exact": 1100, "near": 4},
            generated={"template": 3},
        ).split()
    )
    for words in (
        "30 conversations",
        "from 1,240 rows",
        "| train | 24 | 20 | 4 |",
        "| validation | 6 | 0 | 6 |",
        "| standard | CC BY 4.0 | Ada \\| Ben | 10 |",
        "&lt;b&gt;Cleo&lt;/b&gt;",
        "10 records state none",
        "1,100 exact, 4 near duplicates removed",
        "| standard | 1,240 | 30 | 100.0 % | 30.0 % (short) |",
        "| coherence | 0.05 | whether the answer belongs to the question |",
        "| novel | 0.5 | |",
        "8 records wait for clinical review",
        "level 2 or more",
        "| suicidality | 5 |",
        "bench 2.",
        "| email | 3 |",
        "3 records by template.",
    ):
        assert words in text, words
    assert "| test |" not in text


def test_what_was_not_done_is_said(corpus: Path) -> None:
    text = card(corpus, pii_tier="off")
    assert "**not looked for**" in text
    assert "overlap with benchmarks was not looked for" in text
    assert "No duplicate was found" in text


def test_the_card_claims_nothing_and_names_no_time(corpus: Path) -> None:
    text = card(corpus)
    assert not re.search(r"compliant|certified|clinically validated|20\d\d-", text, re.I)
    assert text == card(corpus)


def test_the_facts_come_from_the_decided_columns() -> None:
    pii = pa.list_(pa.struct([("type", pa.string()), ("count", pa.int32())]))

    def email(count: int) -> dict[str, Any]:
        return {"type": "email", "count": count}

    keys = pa.table(
        {
            "status": ["kept", "kept", "held", "rejected", "rejected"],
            "held_for": pa.array([[], [], ["suicidality", "child abuse"], None, []], pa.list_(pa.string())),
            "contaminated": [None, None, None, "bench: item 13", "other: item 8"],
            "pii": pa.array([[email(2)], [email(1)], [email(9)], [], []], pii),
            "language": ["en", "en", "de", "en", None],
            "generated": pa.array([None, "template", "template", None, None], pa.string()),
        }
    )
    clusters = pa.table({"kind": ["survivor", "near", "near", "exact"]})
    config = CorpusConfig.model_validate({"decontaminate": [{"name": "bench", "path": "x"}]})
    facts = facts_of(config, keys, clusters, STAGE, FACTS.splits)
    assert facts.held == {"child abuse": 1, "suicidality": 1}
    assert facts.duplicates == {"near": 2, "exact": 1}
    assert facts.evaluation == {"bench": 1}
    assert facts.personal_data == {"email": 3}
    assert facts.languages == {"en": 2}
    assert facts.generated == {"template": 1}
    assert facts.thresholds["coherence"] == config.checks.coherence_min
    assert "review_level" not in facts.thresholds
