"""A key opens what its role and its clients allow; everything else looks like nobody is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pe_ray.errors import ClientNotFound, UserError
from pe_ray.security.access import LOCAL, PERMISSIONS, Access, is_loopback
from pe_ray.security.api_keys import ApiKeys
from pe_ray.security.keys import Keys
from pe_ray.security.problems import Problem
from pe_ray.security.transit import operator_token
from pe_ray.store.paths import Home


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def test_a_key_is_recognised_and_stored_as_a_hash(home: Home) -> None:
    keys = ApiKeys(home, Keys(home))
    token = keys.issue("client", "ada's phone", ["ada"])
    found = keys.check(f"Bearer {token}")
    assert found is not None
    assert (found.role, found.subjects) == ("client", {keys.subject("ada")})
    files = b"".join(p.read_bytes() for p in Path(home.state).glob("ops.db*"))
    assert token.split("_", 2)[2].encode() not in files
    assert b"ada\x00" not in files
    assert keys.subject("ada").encode() in files


@pytest.mark.parametrize("change", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: t + "A", str.upper])
def test_a_changed_key_is_nobodys(home: Home, change) -> None:
    keys = ApiKeys(home, Keys(home))
    token = keys.issue("operator", "ops")
    assert keys.check(f"Bearer {change(token)}") is None
    for other in (None, "", token, f"Basic {token}", "Bearer", "Bearer pr_000000000000_" + "a" * 43, "Bearer \ud800"):
        assert keys.check(other) is None


def test_keys_expire_and_can_be_revoked(home: Home) -> None:
    clock = Clock()
    keys = ApiKeys(home, Keys(home), clock=clock)
    short, long = (keys.issue("operator", n, days=d) for n, d in (("short", 1), ("long", 90)))
    clock.at += timedelta(days=1)
    assert keys.check(f"Bearer {short}") is None
    found = keys.check(f"Bearer {long}")
    assert found is not None
    assert keys.revoke(found.id) is True
    assert keys.revoke(found.id) is False
    assert keys.check(f"Bearer {long}") is None
    assert {k["name"] for k in keys.list()} == {"short", "long"}
    assert not any("secret_hash" in k for k in keys.list())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("admin", "x"), "role='admin': one of client, therapist, operator"),
        (("operator", "x", [], 91), "days=91: from 1 to 90"),
        (("client", "x", ["a", "b"]), "2 given; a key of role client is for exactly one client"),
        (("therapist", "x"), "at least one client"),
        (("operator", "x", ["a"]), "no client"),
        (("client", "x", ["../a"]), "an id has 1 to 64"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_issued(home: Home, arguments: tuple, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        ApiKeys(home, Keys(home)).issue(*arguments)


def test_dev_mode_is_for_this_machine_only(home: Home) -> None:
    access = Access(home, Keys(home))
    for peer, host in (("127.0.0.1", "127.0.0.1:8000"), ("::1", "[::1]:8000"), ("127.0.0.1", "LOCALHOST")):
        assert access.identify(None, peer, host) == LOCAL
    for peer, host in (("10.0.0.1", "127.0.0.1"), (None, "localhost"), ("127.0.0.1", "evil.example"), ("x", None)):
        with pytest.raises(Problem, match="over loopback only"):
            access.identify(None, peer, host)
    access.require(LOCAL, "journal.write", "anybody")


def test_production_needs_a_key_for_that_client(home: Home) -> None:
    keys = Keys(home)
    issued = ApiKeys(home, keys)
    tokens = {
        "client": issued.issue("client", "c", ["ada"]),
        "therapist": issued.issue("therapist", "t", ["ada", "bob"]),
        "operator": issued.issue("operator", "o"),
    }
    access = Access(home, Keys(home, "production"))
    with pytest.raises(Problem, match="valid key is needed") as caught:
        access.identify(None, "127.0.0.1", "localhost")
    assert caught.value.status == 401
    who = {role: access.identify(f"Bearer {token}", "10.0.0.1", "h") for role, token in tokens.items()}
    may = {
        (role, permission, client)
        for role in who
        for permission in ("journal.read", "sessions.write", "history.read", "deliver")
        for client in ("ada", "bob", "eve")
        if _passes(access, who[role], permission, client)
    }
    assert may == {
        ("client", "journal.read", "ada"),
        ("client", "history.read", "ada"),
        ("therapist", "journal.read", "ada"),
        ("therapist", "journal.read", "bob"),
        ("therapist", "sessions.write", "ada"),
        ("therapist", "sessions.write", "bob"),
    }
    access.require(who["operator"], "deliver")
    with pytest.raises(Problem, match="may not do that"):
        access.require(who["client"], "deliver")


def test_the_installations_own_token_delivers_in_both_modes(home: Home) -> None:
    keys = Keys(home)
    for mode in ("dev", "production"):
        access = Access(home, Keys(home, mode))
        found = access.identify(f"Bearer {operator_token(keys)}", None, None)
        access.require(found, "deliver")
        with pytest.raises(ClientNotFound):
            access.require(found, "journal.read", "ada")


def test_who_keeps_the_machine_running_sees_nobodys_words() -> None:
    assert not any(p.split(".")[0] in ("journal", "assessments", "export", "report") for p in PERMISSIONS["operator"])
    assert not any("deliver" in PERMISSIONS[role] for role in ("client", "therapist", "dev"))


def test_loopback_is_more_than_one_address() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.0.1", "", None, "localhost.evil.example")))


def _passes(access: Access, who, permission: str, client: str) -> bool:
    try:
        access.require(who, permission, client)
    except ClientNotFound:
        return False
    return True
