"""Where things live, and how a name finds its newest finished version."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.errors import AdapterNotFound, UserError
from pe_ray.store import manifest
from pe_ray.store.paths import Home


def test_home_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.find({}).root == tmp_path / ".pe_ray"
    home = Home.find({"PE_RAY_HOME": "here", "PE_RAY_STATE": str(tmp_path / "st")})
    assert (home.root, home.state) == (tmp_path / "here", tmp_path / "st")
    assert Home.find(home.environ) == home


def test_a_home_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a directory is wanted"):
        Home.find({"PE_RAY_HOME": str(tmp_path / "file")})
    with pytest.raises(UserError, match="PE_RAY_HOME=s3://bucket"):
        Home.find({"PE_RAY_HOME": "s3://bucket"})


def test_versions_count_only_what_is_finished(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    for version in (1, 2):
        with manifest.stage(home.adapter("therapist", version), kind="adapter", parents={}):
            pass
    home.adapter("therapist", 3).mkdir()
    assert home.versions("adapters", "therapist") == [1, 2]
    assert home.next_version("therapist") == 4
    assert home.resolve_model("therapist", "adapter") == home.adapter("therapist", 2)
    assert home.resolve_model("therapist@1", "adapter") == home.adapter("therapist", 1)
    assert home.resolve_model("latest", "adapter") == home.adapter("therapist", 2)
    assert home.resolve_model(str(tmp_path / "adapters"), "adapter") == tmp_path / "adapters"


def test_a_model_that_is_not_there_names_what_is(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with pytest.raises(AdapterNotFound, match="none yet"):
        home.resolve_model("latest", "merged")
    with manifest.stage(home.adapter("therapist", 1), kind="adapter", parents={}):
        pass
    with pytest.raises(AdapterNotFound, match="available: therapist@1"):
        home.resolve_model("crisis@4", "adapter")
    with pytest.raises(AdapterNotFound, match="no model directory"):
        home.resolve_model("./gone", "adapter")


def test_databases_are_local_files_unless_a_url_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.at(tmp_path)
    assert home.database("journal") == f"sqlite:///{tmp_path}/state/journal.db"
    monkeypatch.setenv("PE_RAY_JOURNAL_URL", "postgresql://u@h/db")
    assert home.database("journal") == "postgresql://u@h/db"
    with pytest.raises(ValueError, match="ops, journal, keys"):
        home.database("other")
