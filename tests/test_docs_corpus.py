"""The pages of the corpus are whole: every file, column, source, check and format is told, and their code runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pe_ray.config import CheckConfig
from pe_ray.config.corpus import TABLE, source_kinds
from pe_ray.corpus import pipeline, plots, sources
from pe_ray.corpus.formats import FORMATS
from pe_ray.corpus.quality import checks
from pe_ray.corpus.semantic import semantic_duplicates
from pe_ray.corpus.sources import psychology
from pe_ray.corpus.sources import table as tables
from pe_ray.corpus.stages import Settings, stages
from pe_ray.corpus.transcripts import SUFFIXES
from pe_ray.safety.pii.coverage import SAFE_HARBOR
from pe_ray.store.paths import Home
from tests.corpus.finished import snapshot, talk
from tests.corpus.write import config, five_sources, jsonl, qa, scenes
from tests.test_docs import ROOT, blocks
from tests.test_layers import LAYERS

NOT_TOLD = {"domain", ".arrow"}
"""A field of every source, and the files inside a `datasets` folder."""


def page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small corpus with a reject, an unreadable row, duplicates, an export and an index; and the folder above it."""
    folder = tmp_path_factory.mktemp("docs")
    five_sources(folder / "data")
    rows = [qa(scene) for scene in scenes(3, 390)]
    jsonl(folder / "data/standard/more.jsonl", [*rows, rows[0], {**rows[1], "answer": "It depends."}, "{not json"])
    home = Home.at(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "image", lambda *_: "data:,")  # they take longer than all else
        run = config(folder / "data", duplicates={"save_index": True}, formats=["jsonl"], min_processed=0.9)
        corpus = pipeline.build(run, home).path
    return corpus, corpus.parent


def test_every_file_of_a_corpus_is_told(built: tuple[Path, Path]) -> None:
    told, (corpus, above) = page("docs/reference/corpus.md"), built
    folders = [corpus, *above.glob("shards/*"), *above.glob("duplicates/*")]
    names = {path.name for folder in folders for path in folder.iterdir()}
    assert {"records", "exports", "index", "found.parquet"} <= names
    assert not [name for name in sorted(names) if f"`{name}" not in told]


def test_every_column_of_a_corpus_is_told(built: tuple[Path, Path]) -> None:
    told, (corpus, above) = page("docs/reference/corpus.md"), built
    tables = [*corpus.rglob("*.parquet"), *above.glob("shards/*/*.parquet"), *above.glob("duplicates/*/*.parquet")]
    columns = {name for path in tables for name in pq.read_schema(path).names}
    lines = [(corpus / name).read_text().splitlines()[0] for name in ("quarantine.jsonl", "concepts.jsonl")]
    columns |= {key for line in lines for key in json.loads(line)}
    assert {"split", "held_for", "crisis_level", "survivor", "stands_for", "synonyms"} <= columns
    assert not [name for name in sorted(columns) if f"`{name}`" not in told]


def test_every_stage_is_in_the_table_of_stages_in_its_order() -> None:
    (table,) = re.findall(r"^\| stage \| what it does \|\n(.*?)\n\n", page("docs/how-to/corpus.md"), re.M | re.S)
    told = re.findall(r"^\| (\w+) \|", table, re.MULTILINE)
    names = [stage.name for stage in stages(Settings("off", b"", None, ())) if stage.name != "describe"]
    assert told == names


def test_the_table_of_checks_has_their_thresholds() -> None:
    row = re.compile(r"^\| (\w+) \| `corpus\.checks\.\w+_min` ([\d.]+) \|", re.MULTILINE)
    least = CheckConfig().model_dump()
    assert dict(row.findall(page("docs/how-to/corpus.md"))) == {
        name: f"{least[f'{name}_min']:g}" for name in checks.NAMES
    }


@pytest.mark.parametrize("kind", [*source_kinds(), TABLE])
def test_every_source_says_what_it_reads(kind: str) -> None:
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page("docs/reference/sources.md"), re.M | re.S))
    suffixes = {"voice": SUFFIXES, "psychology": psychology.SUFFIXES, TABLE: tables.SUFFIXES}.get(kind, ())
    wanted = {*suffixes, *getattr(sources.reader(kind), "FIELDS", ())} - NOT_TOLD
    assert not [name for name in sorted(wanted) if f"`{name}`" not in parts[kind]]


def test_every_format_is_told() -> None:
    told = page("docs/reference/formats.md")
    assert not [name for name in FORMATS if f"| `{name}` |" not in told]


def test_what_is_looked_for_and_what_slips_through_is_told() -> None:
    told = page("docs/safety.md")
    for row in SAFE_HARBOR:
        assert f"| {row.name} | {', '.join(row.types) or 'not looked for'} | {row.missing} |" in told


def test_the_picture_of_the_house_is_the_one_that_is_tested() -> None:
    (picture,) = [block for block in blocks(ROOT / "docs/design.md", "") if "doors" in block]
    lines = picture.splitlines()[::-1]
    for line, rooms in zip(lines, LAYERS, strict=True):
        assert rooms <= set(re.findall(r"\w+", line)), line


@pytest.mark.parametrize("room", ["corpus", "config"])
def test_every_file_of_a_room_has_its_place_in_the_design(room: str) -> None:
    told = page("docs/design.md")
    files = [p for p in (ROOT / "pe_ray" / room).iterdir() if p.is_dir() or p.suffix == ".py"]
    names = [f"{p.name}/" if p.is_dir() else p.name for p in files if p.name[0] != "_" and p.name != "samples"]
    assert not [n for n in names if f"`{n}`" not in told and f"`{room}/{n}`" not in told]


def test_the_loader_of_the_page_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = snapshot(tmp_path / ".pe_ray", [talk(i) for i in range(60)], lambda _: "train")
    made.parent.rename(made.parent.with_name("therapy"))
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs/reference/formats.md", "python")
    scope: dict[str, Any] = {}
    exec(code, scope)
    unbroken = [record.id for batch in scope["loader"]() for record in batch]
    assert len(unbroken) == 3 * 60
    assert scope["rest"] == unbroken[8:]


def test_the_embedder_of_the_page_finds_what_means_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(ROOT / "docs/reference/duplicates.md", "python")
    (tmp_path / "my_embedder.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    texts = ["On Sundays I dread going back to work.", "On Sunday I dread going back to work", "My sister sold it."]
    found = semantic_duplicates(texts, ["a", "b", "c"], embedder="my_embedder:Letters", threshold=0.8)
    assert found.survivor.tolist() == [0, 0, 2]
