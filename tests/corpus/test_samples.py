"""The sample that comes with pe_ray: enough of everything, and nothing said twice."""

from __future__ import annotations

from collections import Counter

import pytest

from pe_ray.config import SOURCE_KINDS, Config, SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.dedup import normalise
from pe_ray.corpus.pipeline import build
from pe_ray.corpus.sources.edge_case import CATEGORIES
from pe_ray.record import Record
from pe_ray.store.paths import Home


@pytest.fixture(scope="module")
def sample() -> dict[str, list[Record]]:
    found = {kind: list(sources.read(SourceSpec(kind=kind))) for kind in SOURCE_KINDS}
    unreadable = [r for records in found.values() for r in records if not isinstance(r, Record)]
    assert not unreadable
    return found


def test_there_are_at_least_300_records_over_five_sources(sample: dict[str, list[Record]]) -> None:
    assert sum(map(len, sample.values())) >= 300
    assert all(len(records) >= 20 for records in sample.values())


def test_every_category_is_there(sample: dict[str, list[Record]]) -> None:
    assert {r.metadata["category"] for r in sample["edge_case"]} == set(CATEGORIES)


def test_there_are_at_least_40_bias_detection_records_of_both_kinds(sample: dict[str, list[Record]]) -> None:
    kinds = Counter(r.metadata["biased"] for r in sample["standard"] if r.domain == "bias_detection")
    assert kinds.total() >= 40
    assert set(kinds) == {"true", "false"}


def test_no_two_records_are_near_duplicates(sample: dict[str, list[Record]]) -> None:
    grams = [(r.uri, r.offset, _grams(r)) for records in sample.values() for r in records]
    by_gram: dict[str, list[int]] = {}
    for i, (_, _, found) in enumerate(grams):
        for gram in found:
            by_gram.setdefault(gram, []).append(i)
    shared = Counter((a, b) for members in by_gram.values() for n, a in enumerate(members) for b in members[n + 1 :])
    near = [
        (grams[a][:2], grams[b][:2], round(jaccard, 2))
        for (a, b), n in shared.items()
        if (jaccard := n / (len(grams[a][2]) + len(grams[b][2]) - n)) >= 0.5
    ]
    assert not near


def test_the_sample_fills_every_share_and_each_domain(home: Home) -> None:
    result = build(Config.model_validate({"corpus": {"engine": "local"}}), home)
    stage = result.stage
    assert stage["errors"] == 0
    assert stage["kept"] >= 200
    for source, account in stage["per_source"].items():
        assert not account["short"], source
        assert abs(account["share"] - account["target"]) <= 0.01, source
    assert stage["held_for_review"] >= sum(1 for c in CATEGORIES if CATEGORIES[c] == "very_high")


def _grams(record: Record) -> set[str]:
    words = normalise(" ".join(m.text for m in record.messages)).split()
    return {" ".join(words[i : i + 3]) for i in range(len(words) - 2)}
