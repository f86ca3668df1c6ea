from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pe_ray.corpus import annotated, pipeline
from pe_ray.corpus.snapshot import Refused
from pe_ray.store.paths import Home
from tests.corpus.write import config, five_sources, jsonl


@pytest.mark.ray
def test_both_engines_make_the_same_corpus(tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from pe_ray.corpus import job  # here, because Ray reads its authentication mode when it is first imported

    five_sources(tmp_path / "data")
    jsonl(tmp_path / "broken/a.jsonl", ["{", "[]"])  # a part without a record
    monkeypatch.setattr(annotated, "PART_BYTES", 4000)  # several parts, several tasks
    specs = [s.model_dump() for s in config(tmp_path / "data").corpus.sources]
    specs.append({"kind": "standard", "path": str(tmp_path / "broken")})
    run = config(tmp_path / "data", min_processed=0.9, sources=specs)
    here = pipeline.build(run, Home.at(tmp_path / "here"))
    there = job.build(run, Home.at(tmp_path / "there"))
    assert len(annotated.plan_parts(run.corpus)) > 6
    assert there.fingerprint == here.fingerprint
    assert there.stage | {"manifest": ""} == here.stage | {"manifest": ""}
    assert pq.read_table(there.path / "records").equals(pq.read_table(here.path / "records"))
    for name in ("rejects.parquet", "quarantine.jsonl", "records/00000.parquet", "review.parquet"):
        assert (there.path / name).read_bytes() == (here.path / name).read_bytes(), name


@pytest.mark.ray
def test_a_gate_refuses_on_ray_as_it_does_here(tmp_path: Path, ray_cluster: None) -> None:
    from pe_ray.corpus import job  # here, because Ray reads its authentication mode when it is first imported

    five_sources(tmp_path / "data")
    jsonl(tmp_path / "data/standard/broken.jsonl", ["{", "[]"])
    with pytest.raises(Refused, match="2 of 61 could not"):
        job.build(config(tmp_path / "data"), Home.at(tmp_path / "home"))
