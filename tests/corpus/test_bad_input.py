"""What a user's files can hold, through `pe-ray corpus build`: quarantined or refused, named, the account balances."""

from __future__ import annotations

import errno
import json
import os
import resource
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from pe_ray import cli
from pe_ray.corpus import shards
from pe_ray.corpus.pipeline import build
from pe_ray.store.paths import Home
from tests.corpus.write import config, edge_case, jsonl, qa, scenes, session

GOOD = [qa(s) for s in scenes(3)]
SMALL = {"engine": "local", "min_records": 0, "min_processed": 0}


class Told:
    """What a command printed, and what it left."""

    def __init__(self, code: int, out: str, err: str, home: Home) -> None:
        self.code, self.out, self.err = code, out, err
        self.errors = [line for line in err.splitlines() if line.startswith("error: ")]
        pages = sorted(home.root.glob("corpora/*/**/quarantine.jsonl"), key=lambda p: p.stat().st_mtime)
        found = [p for p in pages if p.parent.parent.name != "shards"]
        lines = found[-1].read_text(encoding="utf-8").split("\n") if found else []
        self.folder = found[-1].parent if found else None
        self.quarantine = [json.loads(line) for line in lines if line]

    @property
    def stage(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)["stages"]["corpus"]
        return found

    @property
    def places(self) -> list[tuple[str, int, str]]:
        return [(u["uri"], u["offset"], u["field"]) for u in self.quarantine]

    def reason(self, place: str) -> str:
        return next(u["reason"] for u in self.quarantine if f"{u['uri']}:{u['offset']}" == place)

    def balances(self) -> bool:
        s = self.stage
        return bool(s["records_in"] == s["kept"] + s["rejected"] + s["held_for_review"] + s["errors"])


class Builder:
    """`pe-ray corpus build` in this process, over one source or several."""

    def __init__(self, folder: Path, home: Home, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self.home, self.capfd = folder, home, capfd

    def __call__(self, *sources: dict[str, Any], **told: Any) -> Told:
        targets = dict.fromkeys((s.get("becomes") or s["kind"] for s in sources), 1.0)
        targets = {name: 1 / len(targets) for name in targets}
        run = self.folder / "run.json"
        run.write_text(json.dumps({"corpus": SMALL | {"sources": sources, "targets": targets} | told}))  # JSON is YAML
        with pytest.raises(SystemExit) as ended:
            cli.main(["corpus", "build", "--config", str(run), "--json"])
        out, err = self.capfd.readouterr()
        assert "Traceback" not in err
        return Told(int(ended.value.code or 0), out, err, self.home)


@pytest.fixture
def built(tmp_path: Path, home: Home, capfd: pytest.CaptureFixture[str], no_plots: None) -> Builder:
    return Builder(tmp_path, home, capfd)


def standard(path: Path) -> dict[str, Any]:
    return {"kind": "standard", "path": str(path)}


def lines(path: Path, *rows: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    return path


def row(**over: Any) -> bytes:
    return json.dumps({**GOOD[0], **over}, ensure_ascii=False).encode()


def test_encodings_nul_and_half_characters(tmp_path: Path, built: Builder) -> None:
    latin = json.dumps({**GOOD[1], "answer": "Es wird schön, sagte sie."}, ensure_ascii=False).encode("latin-1")
    half = b'{"question": "What of \\ud83d now?", "answer": "It is half.", "topics": []}'
    nul = json.dumps({**GOOD[2], "answer": "Before\0after, and the harbour in Lisbon."}).encode()
    folder = tmp_path / "data"
    lines(folder / "a.jsonl", row(), latin, half, nul)
    (folder / "b.jsonl").write_bytes(json.dumps(GOOD[0]).encode("utf-16"))
    (folder / "c.jsonl").write_bytes(b"PK\x03\x04\0\0\0\0")
    (folder / "d.jsonl").write_bytes(b"\xef\xbb\xbf" + row(question="A mark stands first, and nobody minds the mark?"))
    told = built(standard(folder))
    assert told.code == 0
    assert told.places == [
        ("a.jsonl", 2, "line"),
        ("a.jsonl", 3, "line"),
        ("b.jsonl", 0, "file"),
        ("c.jsonl", 0, "file"),
    ]
    assert told.reason("a.jsonl:2").endswith("is not UTF-8; save it as UTF-8")
    assert told.reason("a.jsonl:3") == "holds half a surrogate pair, which is no character"
    assert told.reason("b.jsonl:0") == "is UTF-16; save it as UTF-8"
    assert told.reason("c.jsonl:0") == "is binary; UTF-8 text is wanted"
    assert told.balances()
    assert told.stage["records_in"] == 7


def test_a_row_of_100_mb_is_skipped_and_those_around_it_are_read(tmp_path: Path, built: Builder) -> None:
    path = tmp_path / "data/a.jsonl"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(row() + b"\n" + b'{"question": "')
        for _ in range(100):
            file.write(b"canarybird " * 95325)
        file.write(b'"}\n' + json.dumps(GOOD[1]).encode() + b"\n")
    assert path.stat().st_size > 100e6
    told = built(standard(path))
    assert told.code == 0
    assert told.places == [("a.jsonl", 2, "line")]
    assert "is longer than 16 MiB" in told.reason("a.jsonl:2")
    assert (told.stage["kept"], told.stage["errors"]) == (2, 1)
    assert "canarybird" not in told.err + told.out


def test_the_same_ids_the_same_file_and_the_same_rows(tmp_path: Path, built: Builder) -> None:
    one = jsonl(tmp_path / "one/a.jsonl", [*GOOD, GOOD[0]])
    two = jsonl(tmp_path / "two/a.jsonl", GOOD)  # the same rows at the same places: the same ids
    told = built(standard(one), standard(one), standard(two))
    assert told.code == 0
    assert told.balances()
    assert (told.stage["records_in"], told.stage["kept"], told.stage["rejected"]) == (4 + 4 + 3, 3, 8)


def test_wrong_columns_types_and_shapes(tmp_path: Path, built: Builder) -> None:
    rows = [
        GOOD[0],
        {"qestion": "x", "answer": "y"},
        {"question": "x"},
        {"question": ["x"], "answer": "y"},
        {"question": "", "answer": "y"},
        [],
        "null",
        "[" * 4000,
        '{"question": "x", "answer": "y"',
        {**GOOD[1], "topics": 5},
        {**GOOD[1], "domain": "psychologie"},
        '{"question": ' + "9" * 5000 + ', "answer": "y"}',
    ]
    told = built(standard(jsonl(tmp_path / "a.jsonl", rows)))
    assert told.code == 0
    assert [line for _, line, _ in told.places] == list(range(2, 13))
    assert [field for _, _, field in told.places] == [
        *("question", "answer", "question", "question", "line", "line", "line", "line", "topics", "domain", "line"),
    ]
    assert "did you mean 'psychology'?" in told.reason("a.jsonl:11")
    assert told.balances()


def test_empty_files_and_empty_lines(tmp_path: Path, built: Builder) -> None:
    folder = tmp_path / "data"
    lines(folder / "a.jsonl", row(), b"", b"   ")
    (folder / "b.jsonl").touch()
    told = built(standard(folder))
    assert told.places == [("b.jsonl", 0, "file")]
    assert told.reason("b.jsonl:0") == "is empty; rows are wanted"
    assert told.stage["records_in"] == 2


def test_a_transcript_that_ends_in_the_middle(tmp_path: Path, built: Builder) -> None:
    whole, cut = tmp_path / "v/a.vtt", tmp_path / "v/b.vtt"
    whole.parent.mkdir()
    one, two = scenes(2)
    whole.write_text(session(one))
    cut.write_text(session(two)[:-260])
    (tmp_path / "v/c.vtt").write_text("WEBVTT\n\n00:00:05.000 --> 00:0")
    told = built({"kind": "voice", "path": str(whole.parent)})
    assert told.code == 0
    assert told.balances()
    assert told.stage["kept"] == 1
    assert told.places == [("b.vtt", 0, "cues"), ("c.vtt", 3, "timing")]
    assert told.reason("b.vtt:0") == "hold no exchange: only a client speaks, and nobody answers"


def test_a_table_with_ragged_rows_and_one_without_its_column(tmp_path: Path, built: Builder) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        f'title,reply\n"{GOOD[0]["question"]}","{GOOD[0]["answer"]}"\nonly one cell\na,b,c\n"never closed,x\n'
    )
    source = {"kind": "table", "path": str(path), "becomes": "standard"}
    told = built(source | {"columns": {"question": "title", "answer": "reply"}})
    assert told.code == 0
    assert told.stage["kept"] == 1
    assert [line for _, line, _ in told.places] == [3, 4, 5]
    assert told.balances()
    wrong = built(source | {"columns": {"question": "titel", "answer": "reply"}})
    assert (wrong.code, len(wrong.errors)) == (2, 1)
    assert "t.csv has no column 'titel'; there is title" in wrong.errors[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_and_a_file_that_may_not_be_read(tmp_path: Path, built: Builder) -> None:
    folder = tmp_path / "data"
    jsonl(folder / "a.jsonl", GOOD)
    jsonl(folder / "b.jsonl", GOOD).chmod(0)
    told = built(standard(folder))
    assert told.reason("b.jsonl:0") == "cannot be opened: Permission denied"
    inner = jsonl(folder / "inner/c.jsonl", GOOD).parent
    inner.chmod(0)
    assert f"cannot be opened (Permission denied: {inner})" in built(standard(folder)).errors[0]  # no row is lost
    folder.chmod(0)
    try:
        refused = built(standard(folder))
    finally:
        folder.chmod(0o755)
        inner.chmod(0o755)
    assert refused.code == 2
    assert f"cannot be opened (Permission denied: {folder}); make it readable for this user" in refused.errors[0]


def test_a_link_that_leads_nowhere_is_one_file_that_cannot_be_opened(tmp_path: Path, built: Builder) -> None:
    folder = jsonl(tmp_path / "data/a.jsonl", GOOD).parent
    (folder / "b.jsonl").symlink_to(folder / "gone.jsonl")
    told = built(standard(folder))
    assert told.code == 0
    assert told.reason("b.jsonl:0") == "cannot be opened: No such file or directory"
    assert told.balances()


def test_under_99_percent_exits_3_and_names_the_source(tmp_path: Path, built: Builder) -> None:
    good = jsonl(tmp_path / "e/a.jsonl", [edge_case(s) for s in scenes(60)])
    bad = jsonl(tmp_path / "s/b.jsonl", [*(qa(s) for s in scenes(6, 100)), "{", "["])
    told = built({"kind": "edge_case", "path": str(good)}, standard(bad), min_processed=0.99)
    assert (told.code, told.out) == (3, "")
    (error,) = told.errors
    assert "corpus.min_processed=0.99: only 0.9706 of the rows could be read (2 of 68 could not" in error
    assert "by source: standard 0.7500" in error
    assert "edge_case" not in error
    assert told.folder is not None and str(told.folder / "report.html") in error
    assert told.places == [("b.jsonl", 7, "line"), ("b.jsonl", 8, "line")]
    assert not (told.folder / "records").exists()


# --- a full disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    tmp_path: Path, built: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full answers every write with ENOSPC, as a disk without room does."""
    path = jsonl(tmp_path / "a.jsonl", GOOD)
    with monkeypatch.context() as full:
        full.setattr(shards, "RECORDS", "/dev/full")
        told = built(standard(path))
    assert told.code == 1
    assert told.errors == ["error: the disk is full; make room and run the same again, finished parts are kept"]
    assert not [p for p in built.home.root.glob("corpora/**/*") if p.is_file()]
    assert built(standard(path)).stage["kept"] == 3


def test_a_build_that_hits_a_limit_while_it_writes_can_be_run_again(
    data: Path, home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of a file, which the kernel holds every write to: the shards fit, the database does not."""
    run = config(data, part_mib=0.004)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises((OSError, OperationalError), match=r"File too large|disk I/O error") as stopped:
            build(run, home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert cli._report(stopped.value) == 1
    (line,) = [text for text in capfd.readouterr().err.splitlines() if text.startswith("error:")]
    assert "File too large" in line or "disk I/O error" in line
    left = home.root / "corpora/therapy"
    assert sorted(p.name for p in left.iterdir()) == ["duplicates", "shards"]
    assert len(list(left.glob("shards/*/manifest.json"))) == len(shards.plan_parts(run.corpus, ""))
    assert build(run, home).stage["kept"] > 50


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_in_a_task_is_told_as_one_that_is_full_here(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ray wraps the error of a task; the real one hangs under `cause`."""
    wrapped = RuntimeError("a long trace of a remote worker")
    wrapped.cause = OSError(number, os.strerror(number), "/data/records.parquet")  # type: ignore[attr-defined]
    assert cli._report(wrapped) == 1
    line = "error: the disk is full (/data/records.parquet); make room and run the same again, finished parts are kept"
    assert capfd.readouterr().err.strip() == line


def test_a_full_disk_under_the_database_is_told_in_the_same_words(capfd: pytest.CaptureFixture[str]) -> None:
    inner = sqlite3.OperationalError("database or disk is full")
    outer = OperationalError("INSERT INTO runs", {}, inner)
    outer.__cause__ = inner
    assert cli._report(outer) == 1
    line = "error: the disk is full; make room and run the same again, finished parts are kept"
    assert capfd.readouterr().err.strip() == line
