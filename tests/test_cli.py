"""The door: quick, quiet, and every error is a line and a number."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pe_ray import cli
from pe_ray.errors import GateNotMet, UserError
from pe_ray.store.paths import Home


def run(capfd: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out, err


def test_help_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys\nfrom pe_ray import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'transformers', 'pyarrow', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["train", "--set", "train.stpes=5"], "unknown setting 'train.stpes'; did you mean 'steps'?"),
        (["train", "--foo"], "No such option: --foo"),
        (["trian"], "No such command"),
        (["corpus", "build", "--config", "gone.yaml"], "--config gone.yaml: no such file"),
        (["export", "--run-id", "gone"], "--run-id gone: no such training run"),
        (["submit", "cook", "--address", "http://127.0.0.1:1"], "job='cook' is not one of"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    capfd: pytest.CaptureFixture[str], home, argv: list[str], expected: str
) -> None:
    code, out, err = run(capfd, *argv)
    assert code == 2
    assert out == ""
    assert expected in err
    assert len(err.strip().splitlines()) == 1


def test_dry_run_shows_the_configuration_and_writes_nothing(capfd: pytest.CaptureFixture[str], home) -> None:
    code, out, err = run(capfd, "train", "--dry-run", "--set", "train.steps=7")
    assert code == 0
    assert "steps: 7" in out
    assert "nothing is done" in err
    assert not home.root.exists()


def test_schema_and_resolved_configuration_are_printed(capfd: pytest.CaptureFixture[str], home) -> None:
    assert "properties" in json.loads(run(capfd, "config", "schema")[1])
    assert "window_s: 43200.0" in run(capfd, "config", "show")[1]


def test_doctor_tells_what_matters(capfd: pytest.CaptureFixture[str], home) -> None:
    code, out, _ = run(capfd, "doctor", "--json")
    subjects = {f["subject"] for f in json.loads(out)["findings"]}
    assert code == 0
    assert {"python", "torch", "ray", "ray authentication", "keys", "disk", "sqlite"} <= subjects
    assert any(s.startswith("listening") for s in subjects)


class Wrapped(Exception):
    """As Ray wraps an error of a task: the real one hangs under `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("a long trace\nof a remote worker")
        self.cause = cause


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("a=1: must be 2", "b=3: must be 4"), 2, "error: a=1: must be 2"),
        (Wrapped(GateNotMet("processed=.5 is under .99")), 3, "error: processed=.5 is under .99"),
        (Wrapped(RuntimeError("boom\nmore")), 1, "error: Wrapped: a long trace (PE_RAY_DEBUG=1 shows where)"),
    ],
)
def test_an_error_becomes_lines_and_a_number(
    capfd: pytest.CaptureFixture[str], error: Exception, code: int, line: str
) -> None:
    assert cli._report(error) == code
    assert capfd.readouterr().err.splitlines()[0] == line


def test_every_job_file_is_a_door(capfd: pytest.CaptureFixture[str], home) -> None:
    folder = Path(__file__).parent.parent / "jobs"
    files = sorted(folder.glob("*.py"))
    assert len(files) >= 3
    for file in files:
        done = subprocess.run([sys.executable, str(file), "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "--config" in done.stdout


@pytest.fixture
def small(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A small corpus: the id of its first record, and its folder."""
    import pyarrow.parquet as pq

    from pe_ray.corpus import plots
    from pe_ray.corpus.pipeline import build
    from tests.corpus.write import jsonl, one_source, qa, scenes

    monkeypatch.setattr(plots, "image", lambda *_: "data:,")
    rows = jsonl(tmp_path / "a.jsonl", [*(qa(s) for s in scenes(3)), "{"])
    path = build(one_source(rows, min_processed=0.5), home).path
    return pq.read_table(path / "decisions.parquet")["id"][0].as_py(), path


def test_a_record_is_explained_and_a_corpus_exported(
    capfd: pytest.CaptureFixture[str], small: tuple[str, Path], tmp_path: Path
) -> None:
    record, path = small
    code, out, err = run(capfd, "corpus", "explain", record[:8])
    assert (code, err) == (0, "")
    assert f"a.jsonl:1  {record}" in out
    told = json.loads(run(capfd, "corpus", "explain", "a.jsonl:1", "--corpus", "therapy", "--json")[1])
    assert told["place"]["id"] == record
    assert "decision   quarantined by read: line: is not JSON" in run(capfd, "corpus", "explain", "a.jsonl:4")[1]
    assert run(capfd, "corpus", "report")[1].strip() == str(path / "report.html")
    out = run(capfd, "corpus", "export", "jsonl", "--out", str(tmp_path / "out"))[1]
    assert out.strip() == str(tmp_path / "out")
    assert {p.suffix for p in (tmp_path / "out").iterdir()} >= {".jsonl"}
    code, _, err = run(capfd, "corpus", "export", "jason")
    assert (code, err.strip()) == (2, "error: format=jason: is not known; did you mean 'json'?")


def test_a_half_written_snapshot_is_not_the_newest(capfd: pytest.CaptureFixture[str], small: tuple[str, Path]) -> None:
    _, path = small
    (path.parent / f".{path.name}.01234567" / "records").mkdir(parents=True)  # as a killed build leaves it
    assert run(capfd, "corpus", "report", "therapy")[1].strip() == str(path / "report.html")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["corpus", "explain", "0123456789"], "record=0123456789: is not in any corpus under"),
        (["corpus", "explain", "a.jsonl:1", "--corpus", "gone"], "corpus=gone: no corpus of that name"),
        (["corpus", "report", "gone"], "name=gone: no finished corpus under"),
        (["corpus", "export", "jsonl", "--corpus", "gone"], "name=gone: no finished corpus under"),
        (["corpus", "explain"], "Missing argument 'record'"),
    ],
)
def test_a_corpus_that_is_not_there_is_one_line(
    capfd: pytest.CaptureFixture[str], home: Home, argv: list[str], expected: str
) -> None:
    code, out, err = run(capfd, *argv)
    assert (code, out) == (2, "")
    assert expected in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("kind", ["edge-cases", "personas"])
def test_a_dry_run_of_generation_says_what_it_would_write(
    capfd: pytest.CaptureFixture[str], home: Home, kind: str
) -> None:
    code, out, err = run(capfd, "generate", kind, "--dry-run")
    assert (code, out) == (0, "")
    assert kind in err
    assert not home.root.exists()
