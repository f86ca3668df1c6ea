"""A parcel opens in its own installation, whole, and the operator's token is derived, not stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.errors import SealError
from pe_ray.record import JournalEntry
from pe_ray.security.envelope import DataKey, seal
from pe_ray.security.keys import Keys
from pe_ray.security.transit import _PLACE, is_operator, open_entry, operator_token, seal_entry
from pe_ray.store.paths import Home

ENTRY = JournalEntry("e1", "ada", "2026-01-01T00:00:00Z", "message", {"text": "I slept 🙂 well", "n": 1}, "r1", "s1")


def test_an_entry_travels_whole_and_unreadable(home: Home) -> None:
    keys = Keys(home)
    blob = seal_entry(keys, ENTRY)
    assert open_entry(keys, blob) == ENTRY
    assert b"slept" not in blob
    assert b"ada" not in blob


def test_half_a_surrogate_pair_does_not_stop_an_entry(home: Home) -> None:
    keys = Keys(home)
    entry = JournalEntry("e", "ada", "2026-01-01T00:00:00Z", "note", {"text": "a\ud800b"})
    assert open_entry(keys, seal_entry(keys, entry)).body == {"text": "a?b"}


def test_a_parcel_of_another_installation_or_changed_is_refused(home: Home, tmp_path: Path) -> None:
    keys = Keys(home)
    blob = bytearray(seal_entry(keys, ENTRY))
    with pytest.raises(SealError):
        open_entry(Keys(Home.at(tmp_path / "b")), bytes(blob))
    blob[60] ^= 1
    with pytest.raises(SealError):
        open_entry(keys, bytes(blob))
    for plain in (b"[]", b"{}", b'{"id": 1, "more": 2}', b"nonsense"):
        with pytest.raises(SealError, match="no journal entry"):
            open_entry(keys, seal(DataKey(1, keys.derive("outbox")), plain, _PLACE))


def test_only_the_derived_token_is_the_operators(home: Home, tmp_path: Path) -> None:
    keys, other = Keys(home), Keys(Home.at(tmp_path / "b"))
    assert is_operator(keys, f"Bearer {operator_token(keys)}")
    assert is_operator(Keys(home), f"bearer {operator_token(keys)}")
    for wrong in (None, "", "Bearer", "Bearer x", f"Basic {operator_token(keys)}", f"Bearer {operator_token(other)}"):
        assert not is_operator(keys, wrong)
    assert not is_operator(keys, "Bearer é\ud800")
