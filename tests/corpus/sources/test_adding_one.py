"""`docs/how-to/add-a-source.md`, done as it says: its files are written into a copy of the package and run there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs" / "how-to" / "add-a-source.md"
NAMED_BLOCK = re.compile(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package beside the files that the page names, as somebody who follows it has them."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(REPOSITORY / "pe_ray", root / "pe_ray", ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in NAMED_BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *command], cwd=root, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_page_adds_one_file_one_test_and_a_run_file(copy: Path) -> None:
    names = [name for name, _ in NAMED_BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    assert names == ["pe_ray/corpus/sources/letters.py", "tests/corpus/sources/test_letters.py", "letters.yaml"]
    assert not (REPOSITORY / names[0]).exists()


def test_its_test_passes(copy: Path) -> None:
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/corpus/sources/test_letters.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_its_run_file_reads_letters_beside_another_source(copy: Path) -> None:
    (copy / "letters").mkdir()
    (copy / "letters" / "a.letter").write_text("Dear Ada\n---\nYes?")
    code = (
        "from pe_ray.config import load; from pe_ray.corpus import sources; config = load('letters.yaml')\n"
        "print([(s.source, next(iter(sources.read(s))).source) for s in config.corpus.sources])"
    )
    done = run(copy, "-c", code)
    assert done.stdout.strip() == "[('letters', 'letters'), ('standard', 'standard')]", done.stderr


def test_a_kind_that_has_no_file_is_refused_by_name(copy: Path) -> None:
    (copy / "wrong.yaml").write_text("corpus: {sources: [{kind: leters, path: letters}]}")
    done = run(copy, "-c", "from pe_ray.config import load; load('wrong.yaml')")
    assert "leters" in done.stderr
    assert "letters" in done.stderr.rpartition("leters")[2]
