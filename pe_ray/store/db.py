"""Three databases: `ops` (runs, adapters, audit of operations), `journal` (client data, sealed) and `keys`.

SQLite by default, PostgreSQL by URL, the same code on both. Each has an ordered list of migrations; a database that is
ahead of the code is refused, because reading it could lose what we do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool, StaticPool

from pe_ray.errors import DatabaseTooNew, UserError

Migration = Callable[[Connection], None]

PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # NORMAL can lose acknowledged commits at a power cut
    "busy_timeout=5000",
    "foreign_keys=ON",
    "secure_delete=ON",
    "temp_store=MEMORY",
    "mmap_size=0",  # made a SQLite corruption bug (before 3.51.3) worse
    "trusted_schema=OFF",
)


def open_database(url: str, migrations: Sequence[Migration], *, read_only: bool = False) -> Engine:
    """An engine on a database brought up to date.

    `migrations[i]` takes the schema from version i to i + 1. Raises DatabaseTooNew if the database is past the list,
    UserError for a URL that cannot be used.
    """
    engine = _engine(url, read_only)
    with engine.begin() as connection:
        if read_only:
            _refuse_newer(url, _version(connection), len(migrations))
        else:
            _migrate(url, connection, migrations)
    return engine


def _migrate(url: str, connection: Connection, migrations: Sequence[Migration]) -> None:
    if (
        connection.dialect.name == "postgresql"
    ):  # several replicas may start at once; the lock ends with the transaction
        connection.execute(text("SELECT pg_advisory_xact_lock(7065726179)"))
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    have = _version(connection)
    _refuse_newer(url, have, len(migrations))
    for migration in migrations[have:]:
        migration(connection)
    if have < len(migrations):
        connection.execute(text("DELETE FROM schema_version"))
        connection.execute(text("INSERT INTO schema_version (version) VALUES (:v)"), {"v": len(migrations)})


def _version(connection: Connection) -> int:
    return int(connection.execute(text("SELECT COALESCE(MAX(version), 0) FROM schema_version")).scalar_one())


def _refuse_newer(url: str, have: int, known: int) -> None:
    if have > known:
        where = make_url(url).render_as_string(hide_password=True)
        raise DatabaseTooNew(
            f"{where}: schema version {have} is newer than this pe_ray knows ({known}); upgrade pe_ray"
        )


def _engine(url: str, read_only: bool) -> Engine:
    try:
        parsed = make_url(url)
    except Exception:  # noqa: BLE001 (SQLAlchemy raises several kinds; each means that the URL is wrong)
        raise UserError(
            "database URL cannot be read; write sqlite:///path or postgresql+psycopg://user@host/name"
        ) from None
    if parsed.get_backend_name() == "postgresql":
        try:
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True)
        except ModuleNotFoundError:
            raise UserError("a postgresql URL needs the extra: pip install 'pe-ray[postgres]'") from None
    if parsed.get_backend_name() != "sqlite":
        raise UserError(f"database {parsed.get_backend_name()!r} is not supported; use sqlite or postgresql")
    memory = parsed.database in (None, "", ":memory:")
    if not memory:
        path = Path(str(parsed.database))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600)
    # hide_parameters: SQLAlchemy would otherwise print bound values, sealed or not, inside exceptions
    engine = create_engine(
        parsed,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
        poolclass=StaticPool if memory else NullPool if read_only else None,
    )
    event.listen(engine, "connect", lambda connection, _: _prepare(connection, read_only))
    event.listen(
        engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
    )
    return engine


def _prepare(connection: Any, read_only: bool) -> None:
    connection.isolation_level = None  # we begin transactions ourselves: pysqlite would commit before DDL
    cursor = connection.cursor()
    for pragma in (*PRAGMAS, *(["query_only=ON", "wal_autocheckpoint=0"] if read_only else [])):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def exists(url: str) -> bool:
    """Whether a database is there already; one on a server is taken to be."""
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or Path(str(parsed.database)).is_file()


def truncate_wal(engine: Engine) -> bool:
    """Fold SQLite's write-ahead log into the database and empty it, so that deleted bytes are gone from both.

    False if an open reader prevented it (ask again when it has ended). PostgreSQL keeps its own log: always True.
    """
    if engine.dialect.name != "sqlite":
        return True
    connection = engine.raw_connection()
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA busy_timeout=250")  # the caller may hold a lock: better to answer than to wait
        return not cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        cursor.execute("PRAGMA busy_timeout=5000")
        connection.close()
