"""A sealed value opens in its place under its key, and nowhere else, and not when one bit has changed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pe_ray.errors import SealError
from pe_ray.security.envelope import OVERHEAD, DataKey, Place, derive, key_version, open_, seal

KEY = DataKey(3, bytes(range(32)))
PLACE = Place("entry", "body", "e1", "ada")


def test_what_is_sealed_opens() -> None:
    for plain in (b"", b"x", os.urandom(5000)):
        sealed = seal(KEY, plain, PLACE)
        assert open_(KEY, sealed, PLACE) == plain
        assert len(sealed) == len(plain) + OVERHEAD
        assert sealed[:3] == b"PR1"
        assert key_version(sealed) == 3


def test_no_bit_can_change() -> None:
    sealed = seal(KEY, b"some words of a person", PLACE)
    accepted = 0
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            open_(KEY, bytes(changed), PLACE)
            accepted += 1
        except SealError:
            pass
    assert accepted == 0


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, row_id="e2"),
        replace(PLACE, client_id="bob"),
        replace(PLACE, column="tags"),
        replace(PLACE, table="goal"),
        Place("entry", "bod", "ye1", "ada"),
        Place("entry", "body", "e1a", "da"),
    ],
)
def test_a_value_opens_in_its_own_place_only(elsewhere: Place) -> None:
    with pytest.raises(SealError, match="changed, or moved"):
        open_(KEY, seal(KEY, b"x", PLACE), elsewhere)


@pytest.mark.parametrize("other", [DataKey(3, bytes(32)), DataKey(2, KEY.secret), DataKey(4, KEY.secret)])
def test_another_key_or_version_does_not_open_it(other: DataKey) -> None:
    with pytest.raises(SealError, match="another key"):
        open_(other, seal(KEY, b"x", PLACE), PLACE)


@pytest.mark.parametrize(
    "foreign",
    [b"", b"PR1", b"x" * 80, seal(KEY, b"abc", PLACE)[:-4], b"PR2" + bytes(80), b"PR1\xff" + bytes(80)],
    ids=["nothing", "the mark alone", "letters", "cut off", "another format", "another key"],
)
def test_foreign_bytes_are_refused(foreign: bytes) -> None:
    with pytest.raises(SealError):
        open_(KEY, foreign, PLACE)


def test_every_value_has_its_own_nonce_and_purposes_do_not_meet() -> None:
    assert len({seal(KEY, b"x", PLACE) for _ in range(1000)}) == 1000
    assert derive(KEY.secret, "a") != derive(KEY.secret, "b")


def test_neither_key_nor_client_is_in_a_repr() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert str(KEY.secret) not in repr(KEY)
    assert "ada" not in repr(PLACE)
