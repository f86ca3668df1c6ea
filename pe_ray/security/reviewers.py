"""Who may sign what a clinical review decided: reviewers, their Ed25519 keys, and how a signature is checked.

    enrol(home, keys, "dr.vega")        makes state/keys/reviewers/dr.vega, puts the public half on record in `ops`
    Signer.of(home, keys, "dr.vega")    signs with it

The private half is 32 bytes as 64 hexadecimal digits, readable by its owner alone; `PE_RAY_REVIEWER_KEYS` names another
folder, so that each reviewer can keep their own. The public half stands in the database under a seal by the
key-encryption key: whoever can write to the database but does not hold that key can make nobody a reviewer.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, insert, select

from pe_ray.errors import UserError
from pe_ray.security import audit
from pe_ray.security.audit import AuditEvent
from pe_ray.security.keys import Keys, create_key, read_key
from pe_ray.store.db import open_database
from pe_ray.store.ops import MIGRATIONS, REVIEWER
from pe_ray.store.paths import Home

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
ROLE = "reviewer"


@dataclass(frozen=True)
class Reviewer:
    """A name, and the public key that its signatures are checked with."""

    name: str
    public_key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Names the key, for people to compare."""
        return hashlib.sha256(self.public_key).hexdigest()[:12]

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether this reviewer's key signed exactly these bytes."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):  # ValueError: no key at all
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """A reviewer whose private key is at hand."""

    reviewer: Reviewer
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, home: Home, keys: Keys, name: str) -> Signer:
        """The signer of a name.

        Raises UserError for a name without a key on record, or whose key file is absent or another's, and
        KeyUnavailable for a file that others can read.
        """
        path = _checked(home, name)
        engine = open_database(home.database("ops"), MIGRATIONS)
        try:
            with engine.begin() as connection:
                on_record = registered(connection, keys).get(name)
        finally:
            engine.dispose()
        if on_record is None:
            raise UserError(f"reviewer={name}: has no key on record; make one with: pe-ray corpus review key {name}")
        try:
            key = Ed25519PrivateKey.from_private_bytes(read_key(path))
        except FileNotFoundError:
            raise UserError(
                f"reviewer={name}: the key file {path} is not there; restore it, or name its folder in "
                "PE_RAY_REVIEWER_KEYS"
            ) from None
        if key.public_key().public_bytes_raw() != on_record.public_key:
            raise UserError(f"reviewer={name}: {path} holds another key than the one on record ({on_record.key_id})")
        return cls(on_record, key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes that only this key gives."""
        return self._key.sign(message)


def enrol(home: Home, keys: Keys, name: str) -> Reviewer:
    """Make a reviewer's key and put its public half on record; a key file that is there already is taken as it is.

    Raises UserError for a name of other characters, or one that has a key on record.
    """
    path = _checked(home, name)
    engine = open_database(home.database("ops"), MIGRATIONS)
    try:
        with engine.begin() as connection:
            if connection.execute(select(REVIEWER.c.name).where(REVIEWER.c.name == name)).first() is not None:
                raise UserError(f"name={name}: has a key on record already; give another name")
            create_key(path)
            public = Ed25519PrivateKey.from_private_bytes(read_key(path)).public_key().public_bytes_raw()
            reviewer, at = Reviewer(name, public), datetime.now(UTC).isoformat(timespec="seconds")
            row = {"name": name, "public_key": public, "created_at": at, "seal": _seal(keys, name, public, at)}
            connection.execute(insert(REVIEWER).values(**row))
            audit.append(connection, [AuditEvent(name, ROLE, "review.key", "reviewer", reviewer.key_id)])
    finally:
        engine.dispose()
    return reviewer


def registered(connection: Connection, keys: Keys) -> dict[str, Reviewer]:
    """The reviewers on record, by name; a row whose seal is not ours is nobody."""
    found = {}
    for row in connection.execute(select(REVIEWER)).mappings():
        seal = _seal(keys, row["name"], row["public_key"], row["created_at"])
        if hmac.compare_digest(bytes(row["seal"]), seal):
            found[row["name"]] = Reviewer(row["name"], bytes(row["public_key"]))
    return found


def key_path(home: Home, name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where a reviewer's private key lies."""
    folder = environ.get("PE_RAY_REVIEWER_KEYS")
    return (Path(folder).expanduser().absolute() if folder else home.keys / "reviewers") / name


def _checked(home: Home, name: str) -> Path:
    if not NAME.fullmatch(name):
        raise UserError(f"reviewer={name!r}: 1 to 40 small letters, digits, dots, dashes and underscores are wanted")
    return key_path(home, name)


def _seal(keys: Keys, name: str, public_key: bytes, at: str) -> bytes:
    parts = [name.encode(), public_key, at.encode()]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(keys.derive("reviewer"), message, hashlib.sha256)
