"""Every client has keys of their own; destroying them erases what they sealed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from pe_ray.errors import ClientNotFound, SealError
from pe_ray.security.envelope import Place, open_, seal
from pe_ray.security.key_tables import CLIENT_KEY, open_keys
from pe_ray.security.keys import Keys
from pe_ray.security.keystore import Keystore
from pe_ray.store.paths import Home


def test_a_client_has_keys_of_their_own_by_purpose(home: Home) -> None:
    store = Keystore(home, Keys(home))
    made = [store.current(c, p, create=True).secret for c in ("ada", "bob") for p in ("general", "pseudonym")]
    assert len(set(made)) == 4
    again = Keystore(home, Keys(home))
    assert again.current("ada").secret == made[0]
    assert again.version("ada", 1).secret == made[0]


def test_an_unknown_client_or_version_is_not_made_up(home: Home) -> None:
    store = Keystore(home, Keys(home))
    with pytest.raises(ClientNotFound):
        store.current("ada")
    store.current("ada", create=True)
    with pytest.raises(SealError, match="no general key of version 2"):
        store.version("ada", 2)


def test_threads_agree_on_one_key(home: Home) -> None:
    store = Keystore(home, Keys(home))
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.current("ada", create=True).secret)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_unwrapped_keys_are_forgotten_after_a_while_and_beyond_capacity(home: Home) -> None:
    time = [0.0]
    store = Keystore(home, Keys(home), capacity=2, ttl_s=300, clock=lambda: time[0])
    first = store.current("a", create=True)
    assert store.current("a") is first
    time[0] = 301
    assert store.current("a") is not first
    for client in ("b", "c"):
        store.current(client, create=True)
    assert len(store._cache) == 2


def test_a_key_cannot_be_handed_to_another_client(home: Home) -> None:
    store = Keystore(home, Keys(home))
    store.current("ada", create=True)
    with open_keys(home).begin() as connection:
        connection.execute(CLIENT_KEY.update().values(client_id="bob"))
    with pytest.raises(SealError):
        store.current("bob")


def test_a_destroyed_key_is_gone_from_the_files_and_opens_nothing(home: Home) -> None:
    keys = Keys(home)
    store = Keystore(home, keys)
    sealed = seal(store.current("ada", create=True), b"x", Place("entry", "body", "e", "ada"))
    store.current("ada", "pseudonym", create=True)
    engine = open_keys(home)
    with engine.begin() as connection:
        wrapped = connection.execute(select(CLIENT_KEY.c.wrapped_dek)).scalars().all()
    engine.dispose()
    files = lambda: b"".join(p.read_bytes() for p in Path(home.state).glob("keys.db*"))  # noqa: E731
    assert len(wrapped) == 2
    assert all(w in files() for w in wrapped)
    assert store.destroy("ada") is True
    assert not any(w in files() for w in wrapped)
    with pytest.raises(SealError, match="destroyed"):
        store.version("ada", 1)
    with pytest.raises(SealError, match="another key"):
        open_(store.current("ada", create=True), sealed, Place("entry", "body", "e", "ada"))


def test_a_reader_that_holds_old_pages_is_reported(home: Home) -> None:
    store = Keystore(home, Keys(home))
    store.current("ada", create=True)
    import sqlite3

    reader = sqlite3.connect(home.state / "keys.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM client_key").fetchall()
    store._engine.dispose()
    assert store.destroy("ada") is False
    reader.close()
    assert store.destroy("ada") is True
