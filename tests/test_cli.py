"""The door: quick, quiet, and every error is a line and a number."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pe_ray import cli
from pe_ray.errors import GateNotMet, UserError


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
