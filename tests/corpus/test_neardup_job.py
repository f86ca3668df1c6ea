from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_ray.bench.texts import plant
from pe_ray.corpus.neardup import near_duplicates, survivors
from pe_ray.errors import SourceError


@pytest.mark.ray
def test_ray_finds_what_one_process_finds(tmp_path: Path, ray_cluster: None) -> None:
    from pe_ray.corpus.neardup import job  # here, because Ray reads its authentication mode when it is first imported

    texts, files = plant(900, seed=4).texts, []
    for start in range(0, 900, 150):
        files.append(tmp_path / f"{start:03d}.parquet")
        pq.write_table(pa.table({"text": texts[start : start + 150]}), files[-1])
    (tmp_path / "scratch").mkdir()
    ids = [f"{i:03d}" for i in range(900)]
    here = near_duplicates(texts)
    there = job.cluster(files, partitions=3, scratch=tmp_path / "scratch")
    assert there.root.tolist() == here.root.tolist()
    assert there.facts == here.facts
    assert here.facts["clusters"] > 50
    assert survivors(there, ids).clusters == survivors(here, ids).clusters

    assert list(job.spread(str, range(40))) == [str(i) for i in range(40)]
    with pytest.raises(SourceError, match="no such column"):
        job.cluster(files, _fails)


def _fails(file: Path) -> pa.Array:
    raise SourceError(f"{file.name}: no such column")
