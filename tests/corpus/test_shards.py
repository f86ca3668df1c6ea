from __future__ import annotations

import ast
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pe_ray.config import Config
from pe_ray.corpus import shards
from pe_ray.corpus.decide import KEY_COLUMNS
from pe_ray.corpus.pipeline import Here
from pe_ray.corpus.shards import Work, annotate_part, ensure, plan_parts, read_keys, read_quarantine
from pe_ray.corpus.stages import PHASES
from pe_ray.errors import SourceError
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.write import KINDS, config, jsonl, one_source, qa, scenes

Count = Callable[[Config], int]
A_FILE = 0.001
"""MiB of a part that holds one file of two rows."""


def keys(run: Config) -> list[str]:
    return [p.key for p in plan_parts(run.corpus, "settings")]


fill = Here().fill


@pytest.fixture
def made(home: Home) -> Count:
    """Ensures the shards of a run and says how many of them had to be made."""

    def count(run: Config) -> int:
        done: list[Work] = []

        def fill_and_count(work: Sequence[Work], told: Callable[[], None]) -> None:
            done.extend(work)
            fill(work, told)

        ensure(run.corpus, home, fill_and_count)
        return len(done)

    return count


def texts(folder: Path, num: int) -> Path:
    """`num` files of two rows each."""
    found = list(scenes(2 * num))
    for n in range(num):
        jsonl(folder / f"{n}.jsonl", [qa(s) for s in found[2 * n : 2 * n + 2]])
    return folder


# --- parts and keys ---------------------------------------------------------------------------------------------------


def test_parts_cut_large_files_and_bunch_small_ones(data: Path) -> None:
    whole = plan_parts(config(data).corpus, "")
    assert [p.spec.kind for p in whole] == list(KINDS)
    assert [len(p.files) for p in whole] == [1, 12, 1, 1, 2]
    small = plan_parts(config(data, part_mib=0.002).corpus, "")
    assert len(small) > 12
    lines = [f for p in small for f in p.files if f.uri == "a.jsonl" and p.spec.kind == "edge_case"]
    assert len(lines) == 3
    assert [f.start for f in lines] == [0, *(f.start + f.size for f in lines[:-1])]
    assert len({p.key for p in small}) == len(small)


def test_a_part_of_another_place_with_the_same_content_is_the_same(data: Path) -> None:
    before = keys(config(data))
    shutil.move(data, data.with_name("moved"))
    assert keys(config(data.with_name("moved"))) == before


@pytest.mark.parametrize(
    "over",
    [{"licence": "MIT"}, {"attribution": "A. N."}, {"values": {"topics": "home"}}],
    ids=lambda over: next(iter(over)),
)
def test_what_a_source_is_told_is_in_its_keys_alone(data: Path, over: dict[str, Any]) -> None:
    specs = [s.model_dump() for s in config(data).corpus.sources]
    told = [*specs[:-1], specs[-1] | over]
    changed = [a != b for a, b in zip(keys(config(data)), keys(config(data, sources=told)), strict=True)]
    assert changed == [False, False, False, False, True]


def test_a_name_is_part_of_a_key_since_ids_follow_from_it(tmp_path: Path) -> None:
    before = keys(one_source(texts(tmp_path / "a", 1)))
    (tmp_path / "a/0.jsonl").rename(tmp_path / "a/other.jsonl")
    assert keys(one_source(tmp_path / "a")) != before


def test_a_file_that_goes_while_it_is_planned_gets_a_key_and_is_quarantined(tmp_path: Path, home: Home) -> None:
    run = one_source(texts(tmp_path / "a", 2), part_mib=A_FILE)
    planned = plan_parts(run.corpus, "")
    (tmp_path / "a/1.jsonl").unlink()
    part = shards._part(planned[-1].spec, planned[-1].files, "")
    assert part.key != planned[-1].key
    annotate_part(Work(part, shards.Settings.of(run.corpus), str(tmp_path)))
    (line,) = read_quarantine([tmp_path / part.key])
    assert (line["uri"], line["reason"]) == ("1.jsonl", "cannot be opened: No such file or directory")


def test_what_later_steps_do_is_not_in_a_key_and_what_stages_do_is() -> None:
    """LATER names modules that exist, and none of those that annotation imports."""
    room = Path(shards.__file__).parent
    missing = [name for name in shards.LATER if not (room / name).is_dir() and not (room / f"{name}.py").is_file()]
    assert missing == []
    start = [room / "stages.py", *(room / "sources").glob("*.py")]
    assert shards.LATER.isdisjoint(annotating(start))


def annotating(start: Sequence[Path]) -> set[str]:
    """The modules of pe_ray.corpus that some files import, inside functions too, and what those import in turn."""
    room = Path(shards.__file__).parent
    seen = {room / "__init__.py"}  # the door, which calls everything
    todo = list(start)
    while todo:
        path = todo.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pe_ray."):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                todo += [f for name in names for f in files_of(str(name)) if f not in seen]
    return {path.relative_to(room).parts[0].removesuffix(".py") for path in seen if room in path.parents}


def files_of(module: str) -> list[Path]:
    place = Path(shards.__file__).parents[2].joinpath(*module.split("."))
    return [f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()]


# --- what is made again -----------------------------------------------------------------------------------------------


def test_only_what_changed_is_made_again(tmp_path: Path, made: Count) -> None:
    run = one_source(texts(tmp_path / "a", 4), part_mib=A_FILE)
    assert made(run) == 4
    assert made(run) == 0
    jsonl(tmp_path / "a/2.jsonl", [qa(s) for s in scenes(2, 100)])
    assert made(run) == 1
    jsonl(tmp_path / "a/9.jsonl", [qa(s) for s in scenes(2, 200)])
    assert made(run) == 1


def test_a_threshold_a_target_or_a_size_makes_nothing_again(data: Path, made: Count) -> None:
    assert made(config(data)) == 5
    for over in (
        {"checks": {"generic_min": 0.9, "review_level": 3}},
        {"max_records": 7},
        {"validation_share": 0.3},
        {"duplicates": {"threshold": 0.9, "near": False}},
        {"formats": ["csv"]},
    ):
        assert made(config(data, **over)) == 0, over


def test_a_tier_or_an_evaluation_set_makes_all_again(data: Path, tmp_path: Path, made: Count) -> None:
    assert made(config(data)) == 5
    assert made(config(data, pii={"tier": "off"})) == 5
    (tmp_path / "e.txt").write_text("Which lighthouse did you see from the ferry?\n")
    told = {"name": "e", "path": str(tmp_path / "e.txt")}
    assert made(config(data, decontaminate=[told])) == 5
    assert made(config(data)) == 0  # the first ones are still there


def test_changed_code_makes_all_again(data: Path, made: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(config(data)) == 5
    monkeypatch.setattr(shards, "_code", lambda: "of another day")
    assert made(config(data)) == 5


def test_the_same_file_listed_twice_is_annotated_once(tmp_path: Path, home: Home, made: Count) -> None:
    texts(tmp_path / "a", 1)
    spec = {"kind": "standard", "path": str(tmp_path / "a")}
    run = one_source(tmp_path / "a", sources=[spec, spec])
    assert made(run) == 1
    found = ensure(run.corpus, home, fill)
    assert len(found) == 2
    assert len(read_keys(found, KEY_COLUMNS)) == 4
    once = shards.cpu_seconds(found[:1])
    assert shards.cpu_seconds(found) == once
    assert set(once) <= set(PHASES)


def test_a_damaged_shard_is_made_again_and_a_half_written_one_is_not_taken(
    tmp_path: Path, home: Home, made: Count
) -> None:
    run = one_source(texts(tmp_path / "a", 2), part_mib=A_FILE)
    assert made(run) == 2
    one, other = ensure(run.corpus, home, fill)
    (one / shards.RECORDS).write_bytes(b"PAR1")
    (other / manifest.NAME).unlink()
    assert made(run) == 2
    assert all(manifest.read(s, "shard", verify=True) for s in (one, other))


def test_what_killed_builds_left_is_swept_when_it_is_old(tmp_path: Path, home: Home, made: Count) -> None:
    run = one_source(texts(tmp_path / "a", 1))
    pool = shards.pool(run.corpus, home)
    old, fresh = pool / f".{'a' * 32}.01234567", pool / f".{'b' * 32}.01234567"
    for path in (old, fresh):
        path.mkdir(parents=True)
    os.utime(old, (time.time() - 7200,) * 2)
    made(run)
    assert not old.exists()
    assert fresh.exists()  # another build may be at it


def test_a_source_that_cannot_be_opened_stops_before_anything_is_written(data: Path, home: Home) -> None:
    shutil.rmtree(data / "psychology")
    with pytest.raises(SourceError, match="psychology"):
        ensure(config(data).corpus, home, fill)
    assert not home.root.exists()


def test_who_waits_is_told_how_far_it_is(tmp_path: Path, home: Home) -> None:
    run = one_source(texts(tmp_path / "a", 3), part_mib=A_FILE)
    told: list[str] = []
    ensure(run.corpus, home, fill, told.append)
    assert (told[0], told[-1]) == (
        "corpus: 3 parts to read, clean and judge",
        "corpus: 3 of 3 parts are read, cleaned and judged",
    )
    jsonl(tmp_path / "a/0.jsonl", [qa(s) for s in scenes(2, 100)])
    told.clear()
    ensure(run.corpus, home, fill, told.append)
    assert told[0] == "corpus: 1 parts to read, clean and judge, 2 are there already"
    told.clear()
    ensure(run.corpus, home, fill, told.append)
    assert told == []


# --- what a shard holds -----------------------------------------------------------------------------------------------


def test_a_shard_counts_what_it_holds_and_what_it_could_not_read(tmp_path: Path, home: Home) -> None:
    rows = [*(qa(s) for s in scenes(3)), '{"question": "canarybird', {"question": "canarybird", "answer": 3}]
    (found,) = ensure(one_source(jsonl(tmp_path / "a.jsonl", rows)).corpus, home, fill)
    facts = manifest.read(found, "shard").facts
    assert (facts["records"], facts["errors"]) == (3, 2)
    assert set(facts["seconds"]) <= set(PHASES)
    assert [(u["uri"], u["offset"], u["field"]) for u in read_quarantine([found])] == [
        ("a.jsonl", 4, "line"),
        ("a.jsonl", 5, "answer"),
    ]
    assert "canarybird" not in (found / shards.QUARANTINE).read_text() + (found / manifest.NAME).read_text()


def test_a_shard_without_a_record_has_its_columns(tmp_path: Path, home: Home) -> None:
    full, empty = jsonl(tmp_path / "full.jsonl", [qa(next(scenes(1)))]), jsonl(tmp_path / "empty.jsonl", ["{"])
    made = {p.stem: ensure(one_source(p).corpus, home, fill)[0] for p in (full, empty)}
    one, none = (read_keys([made[n]], KEY_COLUMNS) for n in ("full", "empty"))
    assert none.schema == one.schema
    assert (len(one), len(none)) == (1, 0)


def test_keys_come_in_the_order_of_the_inputs_however_they_were_cut(
    data: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ensure(config(data).corpus, home, fill)
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 2)
    pieces = ensure(config(data, part_mib=0.002).corpus, home, fill)
    assert len(pieces) > len(whole)
    one, two = (read_keys(s, KEY_COLUMNS).drop_columns(["shard", "position"]) for s in (whole, pieces[::-1]))
    assert one.equals(two)
    rows = read_keys(whole, ("source", "uri", "offset", "id", "row_key")).to_pylist()
    assert rows == sorted(rows, key=lambda r: (r["source"], r["uri"], r["offset"]))


def test_a_key_row_says_where_its_record_stands(data: Path, home: Home) -> None:
    found = ensure(config(data, part_mib=0.002).corpus, home, fill)
    for row in read_keys(found, ("source", "uri", "offset", "id", "row_key")).to_pylist()[::7]:
        assert pq.read_table(found[row["shard"]] / shards.RECORDS)["id"][row["position"]].as_py() == row["id"]


def test_quarantine_is_sorted_and_its_lines_may_hold_any_separator(tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "a"
    for name in ("b\u2028.jsonl", "a.jsonl"):
        jsonl(folder / name, ["[]", "{"])
    found = ensure(one_source(folder, part_mib=0.0001).corpus, home, fill)
    lines = read_quarantine(found[::-1])
    assert [(u["uri"], u["offset"]) for u in lines] == [(n, i) for n in ("a.jsonl", "b\u2028.jsonl") for i in (1, 2)]
    assert json.dumps(lines)
