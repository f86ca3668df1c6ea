"""The document, its bounds and its exit code; and that the door needs nothing but Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pe_ray.bench.__main__ import main
from pe_ray.bench.document import as_text, commit, document, exit_code, machine, measured, not_measured

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "better", "bound", "ok"),
    [
        (1.3, "higher", 1.3, True),
        (1.29, "higher", 1.3, False),
        (0.002, "lower", 0.002, True),
        (0.003, "lower", 0.002, False),
        (7.0, "higher", None, True),
    ],
)
def test_a_figure_meets_its_bound_or_not(value: float, better, bound: float | None, ok: bool) -> None:
    assert measured("x", value, "s", better, bound).ok is ok


def test_one_missed_bound_makes_three_and_what_was_not_measured_does_not() -> None:
    good, bad = measured("a", 2, "x", "higher", 1), measured("b", 2, "x", "lower", 1)
    absent = not_measured("c", "x", "higher", 1, "no such peer here")
    assert exit_code([good, absent]) == 0
    assert exit_code([good, bad, absent]) == 3


def test_the_document_has_its_keys_and_reads_as_text() -> None:
    rows = [measured("a", 2, "x", "lower", 1), not_measured("b", "s", "higher", 3, "peer is not installed")]
    body = json.loads(json.dumps(document("corpus", rows, (0.5, 1.25))))
    assert list(body) == ["area", "commit", "machine", "load", "results"]
    assert body["load"] == [0.5, 1.25]
    assert body["results"][0] == {"name": "a", "value": 2, "unit": "x", "better": "lower", "bound": 1, "ok": False}
    assert body["results"][1]["value"] is body["results"][1]["ok"] is None
    assert "MISSED" in as_text(body)
    assert "not measured peer is not installed" in as_text(body)


def test_commit_and_machine_are_told() -> None:
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|unknown", commit())
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in machine()


def test_the_door_imports_only_the_standard_library() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pe_ray.bench.__main__, pe_ray.bench.corpus"
    bare = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert bare.returncode == 0, bare.stderr


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["corpus", "--nonsense"], ["corpus", "--documents", "9"]])
def test_a_wrong_call_ends_with_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err
