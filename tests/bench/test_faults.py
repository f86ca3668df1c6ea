"""What is counted against a build that was killed, and one real round of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_ray.bench import faults
from pe_ray.bench.__main__ import main


def _corpus(folder: Path, ids: list[str], fingerprint: str = "f", words: str = "same") -> Path:
    snapshot = folder / fingerprint
    (snapshot / "records").mkdir(parents=True)
    pq.write_table(pa.table({"id": ids}), snapshot / "decisions.parquet")
    (snapshot / "records" / "00000.parquet").write_text(words)
    return folder


def test_the_same_bytes_are_no_difference_and_others_are_named(tmp_path: Path) -> None:
    want = _corpus(tmp_path / "want", ["a", "b"])
    assert list(faults._different(want, _corpus(tmp_path / "same", ["a", "b"]))) == []
    assert list(faults._different(want, _corpus(tmp_path / "other", ["a", "b"], words="else"))) == [
        "records/00000.parquet"
    ]
    assert list(faults._different(want, _corpus(tmp_path / "new", ["a", "b"], "g"))) == ["fingerprint g"]
    assert list(faults._different(want, tmp_path / "absent")) == ["fingerprint none"]


def test_a_file_too_many_is_a_difference(tmp_path: Path) -> None:
    want, have = _corpus(tmp_path / "want", ["a"]), _corpus(tmp_path / "have", ["a"])
    (have / "f" / "concepts.jsonl").write_text("{}\n")
    assert list(faults._different(want, have)) == ["concepts.jsonl"]


def test_records_are_counted_that_are_lost_or_there_twice(tmp_path: Path) -> None:
    want, have = _corpus(tmp_path / "want", ["a", "b", "c"]), _corpus(tmp_path / "have", ["a", "a", "c", "d"])
    assert faults._ids_apart(want, have) == (1, 2)


@pytest.mark.parametrize(
    ("code", "stderr", "clear"),
    [
        (1, "reading\nerror: the disk is full\n", True),
        (1, "error: one\nerror: two\n", False),
        (1, "Traceback (most recent call last):\nerror: the disk is full\n", False),
        (1, "error: the disk is full\nand something else\n", False),
        (2, "error: the disk is full\n", False),
        (0, "", False),
    ],
)
def test_a_clear_end_is_one_last_line_and_exit_code_one(code: int, stderr: str, clear: bool) -> None:
    assert faults._is_clear(code, stderr) is clear


@pytest.mark.parametrize("argv", [["faults"], ["faults", "nothing"], ["faults", "corpus", "--rounds", "0"]])
def test_a_wrong_call_ends_with_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.slow
def test_builds_that_are_killed_become_the_unbroken_one(capsys: pytest.CaptureFixture[str]) -> None:
    main(["faults", "corpus", "--json", "--rounds", "2", "--records", "300"])
    found = {row["name"]: row["value"] for row in json.loads(capsys.readouterr().out)["results"]}
    assert found["rounds"] >= 2
    assert found["acknowledged"] > 0
    assert [found[name] for name in ("lost", "duplicated", "torn", "mismatched")] == [0, 0, 0, 0]
    assert sum(found[f"kills.{phase}"] for phase in faults.killing.PHASES) == found["rounds"]
