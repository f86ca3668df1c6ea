"""Builds for the bench: what they made, what they cost, each once; and one that fails says so in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_ray.bench import building
from pe_ray.bench.building import BuildFailed, Job, Workshop, observe
from pe_ray.bench.dialogues import write


def test_any_cut_makes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "rows", 120)
    cuts = ({}, {"part_mib": 0.005, "partitions": 4, "backwards": True})
    for number, cut in enumerate(cuts):
        job = {"dialogues": str(tmp_path / "rows"), "home": str(tmp_path / f"home-{number}"), **cut}
        building.main(["build", json.dumps(job)])
    whole, cut = map(json.loads, capsys.readouterr().out.splitlines())
    assert (whole["records_in"], whole["parts"]) == (120, 5)
    assert cut["parts"] > 10
    assert cut["fingerprint"] == whole["fingerprint"]
    assert 0 < whole["kept"] < 120
    assert {"clean", "judge", "write"} <= whole["phases"].keys()


def test_a_build_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"a build on local failed: .*no such file or folder") as failed:
        observe(Job(str(tmp_path / "absent"), str(tmp_path / "home")))
    assert len(str(failed.value).splitlines()) == 1


@pytest.mark.slow
def test_a_build_is_made_once_and_tells_its_cost(tmp_path: Path) -> None:
    said: list[str] = []
    shop = Workshop(tmp_path, said.append)
    built = shop.built(120)
    assert shop.built(120) is built
    assert len(said) == 1
    assert built.cpu_s > 0.5
    assert 0.05 < built.peak_memory_gib < 4
    assert not list(tmp_path.glob("home-*"))
