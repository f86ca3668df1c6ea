"""Who may do what: a table of roles, and the door that finds out who asks.

Dev mode is one local user without a key, over loopback only. Production takes a Bearer key. A caller who may not see a
client and a client who does not exist get the same answer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from pe_ray.errors import ClientNotFound
from pe_ray.security.api_keys import ApiKeys, Principal
from pe_ray.security.keys import Keys
from pe_ray.security.problems import Problem
from pe_ray.security.transit import is_operator
from pe_ray.store.paths import Home

CONTENT = ("sessions", "journal", "goals", "milestones", "assessments")
_READ = {f"{thing}.read" for thing in (*CONTENT, "trends", "report", "export")}
_WRITE = {f"{thing}.write" for thing in CONTENT}

PERMISSIONS: Mapping[str, frozenset[str]] = {
    "dev": frozenset({*_READ, *_WRITE, "history.read", "inference", "cache.clear"}),
    "client": frozenset({*_READ, *_WRITE, "history.read", "inference"} - {"sessions.write"}),
    "therapist": frozenset({*_READ, *_WRITE, "inference"}),
    "operator": frozenset({"deliver", "cache.clear"}),  # keeps the machine running, sees nobody's words
}

LOCAL = Principal("local", "dev")
OPERATOR = Principal("operator", "operator")


class Access:
    """The door of one application, in the mode of its keys."""

    def __init__(self, home: Home, keys: Keys) -> None:
        self._keys = keys
        self._api_keys = ApiKeys(home, keys) if keys.mode == "production" else None

    def identify(self, authorization: str | None, peer: str | None, host: str | None) -> Principal:
        """Who sends a request: from its Authorization header, its peer's address and its Host header.

        Raises Problem 401 (production, no valid key) or 403 (dev mode, not over loopback).
        """
        if is_operator(self._keys, authorization):
            return OPERATOR
        if self._api_keys is None:
            if not (is_loopback(peer) and is_loopback(_name(host))):  # the name, too: a web page can rebind its own
                raise Problem(403, "dev mode answers over loopback only; use production mode with a key")
            return LOCAL
        principal = self._api_keys.check(authorization)
        if principal is None:
            raise Problem(401, "a valid key is needed", headers={"www-authenticate": 'Bearer realm="pe_ray"'})
        return principal

    def require(self, principal: Principal, permission: str, client_id: str | None = None) -> None:
        """Pass, or raise: ClientNotFound where a client is named, Problem 403 otherwise."""
        allowed = permission in PERMISSIONS.get(principal.role, frozenset())
        if allowed and client_id is not None and self._api_keys is not None:
            allowed = self._api_keys.subject(client_id) in principal.subjects
        if not allowed and client_id is not None:
            raise ClientNotFound("no such client")
        if not allowed:
            raise Problem(403, "this key may not do that")

    def close(self) -> None:
        """Close what was opened."""
        if self._api_keys is not None:
            self._api_keys.close()


def is_loopback(address: str | None) -> bool:
    """Whether an address or host name is this machine's own."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def _name(host: str | None) -> str:
    name = (host or "").strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
