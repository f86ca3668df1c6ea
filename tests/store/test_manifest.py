"""A directory exists when its manifest does; nothing half written is ever found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pe_ray.errors import ManifestError
from pe_ray.store import manifest


def make(target: Path, text: str = "x") -> None:
    with manifest.stage(target, kind="corpus", parents={"config": "abc"}) as out:
        (out / "part.txt").write_text(text)
        out.facts["kept"] = 1


def test_a_stage_appears_whole(tmp_path: Path) -> None:
    make(tmp_path / "a" / "one")
    found = manifest.read(tmp_path / "a" / "one", "corpus", verify=True)
    assert found.parents == {"config": "abc"}
    assert found.facts == {"kept": 1}
    assert set(found.files) == {"part.txt"}


def test_a_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), manifest.stage(tmp_path / "one", kind="corpus", parents={}) as out:
        (out / "part.txt").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_directory_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "torn.txt").write_text("half")
    make(tmp_path / "one")
    assert not (tmp_path / "one" / "torn.txt").exists()


def test_a_finished_directory_stays(tmp_path: Path) -> None:
    make(tmp_path / "one", "first")
    make(tmp_path / "one", "second")
    assert (tmp_path / "one" / "part.txt").read_text() == "first"


def test_a_killed_writer_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from pe_ray.store import manifest\n"
        "with manifest.stage(Path(sys.argv[1]), kind='corpus', parents={}) as out:\n"
        "    (out / 'part.txt').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "one")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "one").exists()
    make(tmp_path / "one")
    assert manifest.is_finished(tmp_path / "one")


def test_what_is_wrong_with_a_directory_is_named(tmp_path: Path) -> None:
    target = tmp_path / "one"
    with pytest.raises(ManifestError, match="never finished"):
        manifest.read(target)
    make(target)
    with pytest.raises(ManifestError, match="holds a corpus; a checkpoint is wanted"):
        manifest.read(target, "checkpoint")
    (target / "part.txt").write_text("y")
    with pytest.raises(ManifestError, match="has changed"):
        manifest.read(target, verify=True)
    (target / "part.txt").write_text("longer")
    with pytest.raises(ManifestError, match="another size"):
        manifest.read(target)
    body = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**body, "format": 99}))
    with pytest.raises(ManifestError, match="format 99 is newer"):
        manifest.read(target)
    (target / "manifest.json").write_text("{")
    with pytest.raises(ManifestError, match="damaged"):
        manifest.read(target)


def test_write_json_replaces_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    manifest.write_json(path, {"n": 1})
    inode = os.stat(path).st_ino
    manifest.write_json(path, {"n": 2})
    assert json.loads(path.read_text()) == {"n": 2}
    assert os.stat(path).st_ino != inode
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
