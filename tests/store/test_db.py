"""Migrations run once and in order; a database from the future is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from pe_ray.errors import DatabaseTooNew, RunConflict, UserError
from pe_ray.store.db import open_database
from pe_ray.store.ops import Runs
from pe_ray.store.paths import Home


def first(connection) -> None:
    connection.execute(text("CREATE TABLE a (id TEXT)"))


def second(connection) -> None:
    connection.execute(text("ALTER TABLE a ADD COLUMN b TEXT"))


def broken(connection) -> None:
    connection.execute(text("ALTER TABLE a ADD COLUMN c TEXT"))
    raise RuntimeError


def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/x/a.db"


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    open_database(url(tmp_path), [first]).dispose()
    engine = open_database(url(tmp_path), [first, second])
    with engine.begin() as c:
        c.execute(text("INSERT INTO a (id, b) VALUES ('1', '2')"))
        assert c.execute(text("SELECT version FROM schema_version")).scalar_one() == 2


def test_a_migration_that_fails_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        open_database(url(tmp_path), [first, broken])
    engine = open_database(url(tmp_path), [first, second])
    with engine.begin() as c:
        assert c.execute(text("SELECT * FROM a")).keys() == ["id", "b"] or list(
            c.execute(text("SELECT * FROM a")).keys()
        ) == ["id", "b"]


def test_a_database_from_the_future_is_refused(tmp_path: Path) -> None:
    open_database(url(tmp_path), [first, second]).dispose()
    with pytest.raises(DatabaseTooNew, match=r"schema version 2 is newer than this pe_ray knows \(1\)"):
        open_database(url(tmp_path), [first])


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    open_database(url(tmp_path), [first]).dispose()
    engine = open_database(url(tmp_path), [first], read_only=True)
    with engine.begin() as c, pytest.raises(OperationalError):
        c.execute(text("INSERT INTO a (id) VALUES ('1')"))


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    open_database(url(tmp_path), [first])
    assert (tmp_path / "x" / "a.db").stat().st_mode & 0o077 == 0


def test_a_url_of_another_kind_is_named() -> None:
    with pytest.raises(UserError, match="'mysql' is not supported"):
        open_database("mysql://h/d", [])
    with pytest.raises(UserError, match="cannot be read"):
        open_database("nonsense", [])


def test_a_run_id_belongs_to_one_configuration(tmp_path: Path) -> None:
    runs = Runs(Home.at(tmp_path))
    assert runs.begin("a", "train", "h1") is False
    runs.end("a", "done", {"loss": 1})
    assert runs.begin("a", "train", "h1") is True
    with pytest.raises(RunConflict, match="run_id=a: belongs to configuration h1"):
        runs.begin("a", "train", "h2")
    assert [r["state"] for r in runs.list()] == ["running"]
