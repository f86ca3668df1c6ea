from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.corpus import pipeline, shards
from pe_ray.corpus.snapshot import Refused
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.test_pipeline import assert_same, planted
from tests.corpus.write import config, jsonl, qa, scenes


@pytest.mark.ray
def test_both_engines_make_the_same_corpus(
    data: Path, tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte; a build that Ray began goes on here; and a gate refuses there as it does here."""
    from pe_ray.corpus import job  # here, because Ray reads its authentication mode when it is first imported

    jsonl(tmp_path / "broken/a.jsonl", ["{", "[]"])  # a part without a record
    specs = [s.model_dump() for s in config(planted(data)).corpus.sources]
    specs.append({"kind": "standard", "path": str(tmp_path / "broken")})
    told = {"sources": specs, "part_mib": 0.02, "engine": "ray"}
    run = config(data, min_processed=0.9, duplicates={"partitions": 4}, **told)
    here = pipeline.build(run, Home.at(tmp_path / "here"))
    said: list[str] = []
    there = job.build(run, Home.at(tmp_path / "there"), said.append)
    assert len(shards.plan_parts(run.corpus, "")) == 6
    assert said[0] == "corpus: 6 parts to read, clean and judge"
    assert there.fingerprint == here.fingerprint
    assert there.stage | {"manifest": ""} == here.stage | {"manifest": ""}
    assert_same(there.path, here.path)
    assert (there.path / "decisions.parquet").read_bytes() == (here.path / "decisions.parquet").read_bytes()

    manifest.remove(there.path)
    with monkeypatch.context() as nothing_left:
        nothing_left.setattr(shards, "annotate_part", None)  # what Ray annotated is not annotated again
        again = pipeline.build(run, Home.at(tmp_path / "there"))
    assert_same(again.path, here.path)

    jsonl(tmp_path / "broken/b.jsonl", [qa(s) for s in scenes(2, 350)])
    with pytest.raises(Refused, match=r"3 of 70 could not; by source: standard 0\.8889"):
        job.build(config(data, **told), Home.at(tmp_path / "there"))
