"""The `keys` database: which key-encryption key is in use, and each client's keys wrapped by it.

It is a database of its own so that it can be backed up apart and for a shorter time: erasing a client is destroying
rows here, and an old backup of this database would undo it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    select,
)

from pe_ray.store.db import open_database
from pe_ray.store.paths import Home


def _create(connection: Connection) -> None:
    schema = MetaData()
    Table(
        "kek",
        schema,
        Column("id", String, primary_key=True),
        Column("created_at", String, nullable=False),
        Column("retired_at", String),
    )
    Table(
        "client_key",
        schema,
        Column("client_id", String, nullable=False),
        Column("purpose", String, nullable=False),  # general, pseudonym
        Column("version", Integer, nullable=False),
        Column("kek_id", String, nullable=False),
        Column("wrapped_dek", LargeBinary, nullable=False),
        Column("created_at", String, nullable=False),
        PrimaryKeyConstraint("client_id", "purpose", "version"),
    )
    schema.create_all(connection)


MIGRATIONS = [_create]

KEK = Table("kek", MetaData(), *(Column(c, String) for c in ("id", "created_at", "retired_at")))
CLIENT_KEY = Table(
    "client_key",
    MetaData(),
    *(Column(c, String) for c in ("client_id", "purpose", "kek_id", "created_at")),
    Column("version", Integer),
    Column("wrapped_dek", LargeBinary),
)


def open_keys(home: Home) -> Engine:
    """The `keys` database, brought up to date."""
    return open_database(home.database("keys"), MIGRATIONS)


def known_keks(connection: Connection) -> list[str]:
    """Ids of the key-encryption keys in use; empty before the first start."""
    return list(connection.execute(select(KEK.c.id).where(KEK.c.retired_at.is_(None))).scalars())


def remember_kek(connection: Connection, key_id: str) -> None:
    """Note the key-encryption key that wraps from now on."""
    connection.execute(insert(KEK).values(id=key_id, created_at=now()))


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
