from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pe_ray.evaluate import fairness
from pe_ray.safety.learn import names


def test_a_planted_bias_is_found_named_and_mitigated() -> None:
    body = fairness.planted()
    named = [a["group"] for a in body["before"] if a["named"]]
    assert named == [body["planted"]] == ["religion: sikh"]
    assert not any(a["named"] for a in body["after"])
    assert not any(a["named"] for a in body["control"])
    value = {r["name"]: r["value"] for r in body["results"]}
    assert all(r["ok"] for r in body["results"])
    assert value["fairness.odds_ratio_before"] > 20 > value["fairness.odds_ratio_after"]
    assert value["fairness.swap_gap_before"] > 0.2
    assert value["fairness.swap_gap_after"] < 0.05
    text = fairness.as_text(body)
    assert "religion: sikh: 100%" in text
    assert "no group is named" in text


def test_nothing_is_made_up_about_another_plant() -> None:
    table = fairness.corpus("mormon")
    assert table.equals(fairness.corpus("mormon"))
    assert not table.equals(fairness.corpus(None))


@pytest.mark.skipif("emotion" not in names(), reason="the model of emotions does not ship yet")
def test_a_corpus_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    pq.write_table(fairness.corpus("muslim"), tmp_path / "records" / "part-0.parquet")
    body = fairness.of_corpus(tmp_path)
    assert body["records"] == fairness.NUM
    found = body["outcomes"]["outcome: worse"]["associations"]
    assert next(a["group"] for a in found if a["named"]) == "religion: muslim"
    assert "religion: muslim" in fairness.as_text(body)
