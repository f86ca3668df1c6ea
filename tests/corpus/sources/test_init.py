from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pe_ray.config import SHARES, Config, SourceSpec, load
from pe_ray.config.corpus import TABLE, source_kinds
from pe_ray.corpus import sources
from pe_ray.corpus.reading import resolve
from pe_ray.record import Record


def test_the_sources_of_the_design_stand_first_and_each_has_its_file() -> None:
    kinds = source_kinds()
    assert kinds[: len(SHARES)] == tuple(SHARES)
    for kind in (*kinds, TABLE):
        module = sources.reader(kind)
        assert list(inspect.signature(module.plan).parameters) == ["spec"]
        assert list(inspect.signature(module.read).parameters) == ["spec", "part"]
        assert module.__doc__


@pytest.mark.parametrize("kind", SHARES)
def test_every_bundled_source_is_read_without_an_error(kind: str) -> None:
    spec = SourceSpec(kind=kind)
    found = list(sources.read(spec))
    assert found
    assert all(isinstance(r, Record) for r in found)
    assert list(sources.read(spec, sources.plan(spec))) == found


def public() -> Config:
    return load(Path(__file__).parents[3] / "jobs" / "configs" / "public.yaml")


def test_the_public_run_file_names_who_is_to_be_thanked_for_all_that_is_not_ours() -> None:
    specs = public().corpus.sources
    assert {s.source for s in specs} == set(SHARES)
    others = [s for s in specs if s.path != "bundled"]
    assert len(others) == 7
    assert all(s.licence and s.attribution for s in others)


@pytest.mark.parametrize("spec", public().corpus.sources, ids=lambda s: f"{s.kind}:{s.path.rpartition('/')[2]}")
def test_every_public_source_is_planned_and_its_first_record_is_read(spec: SourceSpec) -> None:
    if not resolve(spec).exists():
        pytest.skip("PE_RAY_DATA does not hold it")
    assert sources.plan(spec).files
    record = next(r for r in sources.read(spec) if isinstance(r, Record))
    assert record.source == spec.source
    assert record.licence not in ("", "unstated")
