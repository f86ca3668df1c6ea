"""The key file: made once in dev mode, never read by others, never swapped or lost without a clear word."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from pe_ray.errors import KeyUnavailable, SealError
from pe_ray.security.envelope import Place
from pe_ray.security.keys import Keys
from pe_ray.store.paths import Home


def test_dev_mode_makes_a_key_that_only_its_owner_reads(home: Home) -> None:
    keys = Keys(home)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.path.parent.stat().st_mode) == 0o700
    assert [p.name for p in keys.path.parent.iterdir()] == ["kek"]
    again = Keys(home)
    assert again.key_id == keys.key_id
    assert again.derive("outbox") == keys.derive("outbox")
    assert keys.derive("outbox") != keys.derive("operator")
    assert keys.path.read_text().strip() not in repr(keys)


def test_starting_at_the_same_time_gives_one_key(home: Home) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(Keys(home).key_id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_production_refuses_to_start_without_a_key(home: Home) -> None:
    with pytest.raises(KeyUnavailable, match="no key file; make one with") as caught:
        Keys(home, "production")
    assert "\n" not in str(caught.value)
    assert not (home.keys / "kek").exists()
    Keys(home)
    assert Keys(home, "production").mode == "production"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604])
def test_a_key_that_others_can_read_is_refused(home: Home, mode: int) -> None:
    path = Keys(home).path
    path.chmod(mode)
    with pytest.raises(KeyUnavailable, match=f"mode {mode:04o} lets others read the key; run: chmod 600"):
        Keys(home)


def test_a_lost_key_is_not_replaced_by_a_new_one(home: Home) -> None:
    keys = Keys(home)
    keys.path.unlink()
    with pytest.raises(KeyUnavailable, match=f"stored keys were wrapped by key {keys.key_id}; restore that file"):
        Keys(home)
    assert not keys.path.exists()


def test_another_key_is_refused(home: Home) -> None:
    keys = Keys(home)
    keys.path.write_text("ab" * 32)
    with pytest.raises(KeyUnavailable, match=f"stored keys were wrapped by key {keys.key_id}"):
        Keys(home)


@pytest.mark.parametrize("content", ["", "ab" * 31, "zz" * 32, "ab" * 33])
def test_a_malformed_key_is_refused_without_showing_it(home: Home, content: str) -> None:
    path = Keys(home).path
    path.write_text(content)
    with pytest.raises(KeyUnavailable, match="64 hexadecimal digits") as caught:
        Keys(home)
    assert not content or content not in str(caught.value)


def test_the_environment_may_name_another_file(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with pytest.raises(KeyUnavailable, match="no key file"):
        Keys(home, environ={"PE_RAY_KEK_FILE": str(path)})
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o600)
    assert Keys(home, environ={"PE_RAY_KEK_FILE": str(path)}).path == path
    assert not home.keys.exists()


def test_a_wrapped_key_opens_in_its_place_under_its_key(home: Home, tmp_path: Path) -> None:
    place = Place("client_key", "wrapped_dek", "general/1", "ada")
    wrapped = Keys(home).wrap(b"k" * 32, place)
    assert Keys(home).unwrap(wrapped, place) == b"k" * 32
    with pytest.raises(SealError):
        Keys(home).unwrap(wrapped, Place("client_key", "wrapped_dek", "general/1", "bob"))
    with pytest.raises(SealError):
        Keys(Home.at(tmp_path / "other")).unwrap(wrapped, place)
