"""The key-encryption key: the one secret of an installation, and what is derived from it.

    Keys(home)                       dev: makes the key file where there is none
    Keys(home, "production")         refuses to start without one

The key is 32 bytes as 64 hexadecimal digits in `state/keys/kek`, readable by its owner alone; `PE_RAY_KEK_FILE` names
another file. This module is the only reader of secrets. Lose the file and every sealed value is lost: back it up apart
from the databases.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pe_ray.errors import KeyUnavailable
from pe_ray.security.envelope import DataKey, Place, derive, open_, seal
from pe_ray.security.key_tables import known_keks, open_keys, remember_kek
from pe_ray.store.paths import Home

Mode = Literal["dev", "production"]


class Keys:
    """The key-encryption key of a home: wraps other keys and derives keys for a purpose.

    Raises KeyUnavailable, in one line, when the file is missing (production, a named file, or a home that already has
    sealed data), readable by others, malformed, or not the key that wrapped what is stored.
    """

    key_id = "not loaded"
    """Names the key without giving it away."""

    def __init__(self, home: Home, mode: Mode = "dev", environ: Mapping[str, str] = os.environ) -> None:
        named = environ.get("PE_RAY_KEK_FILE")
        self.path = Path(named).expanduser().absolute() if named else home.keys / "kek"
        self.mode = mode
        self._secret = self._load(home, may_create=mode == "dev" and not named)
        self.key_id = derive(self._secret, "pe_ray/kek-id", 8).hex()
        self._wrapping = DataKey(1, self.derive("wrap"))
        self._agree_with(home)

    def __repr__(self) -> str:
        return f"Keys(key_id={self.key_id!r}, mode={self.mode!r})"

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose; another purpose gives unrelated ones."""
        return derive(self._secret, f"pe_ray/v1/{purpose}")

    def wrap(self, secret: bytes, place: Place) -> bytes:
        """A key sealed by this one, bound to its place."""
        return seal(self._wrapping, secret, place)

    def unwrap(self, wrapped: bytes, place: Place) -> bytes:
        """The key that was wrapped; SealError if it was wrapped by another key or for another place."""
        return open_(self._wrapping, wrapped, place)

    def _load(self, home: Home, may_create: bool) -> bytes:
        try:
            return read_key(self.path)
        except FileNotFoundError:
            stored = _stored_ids(home)
        if self.path.exists():  # another process made it between our two looks
            return read_key(self.path)
        if stored:
            raise KeyUnavailable(
                f"{self.path}: no key file, but stored keys were wrapped by key {stored[0]}; restore that file"
            )
        if not may_create:
            raise KeyUnavailable(
                f"{self.path}: no key file; make one with: "
                f"(umask 077; mkdir -p {self.path.parent} && openssl rand -hex 32 > {self.path})"
            )
        create_key(self.path)
        return read_key(self.path)

    def _agree_with(self, home: Home) -> None:
        engine = open_keys(home)
        try:
            with engine.begin() as connection:
                known = known_keks(connection)
                if not known:
                    remember_kek(connection, self.key_id)
        finally:
            engine.dispose()
        if known and self.key_id not in known:
            raise KeyUnavailable(
                f"{self.path}: holds key {self.key_id}, but stored keys were wrapped by key {known[0]}; "
                "restore that key's file, or point PE_RAY_KEK_FILE to it"
            )


PUBLIC_SURROGATE_KEY = b"pe_ray: surrogates that anybody can make again"


def surrogate_key(environ: Mapping[str, str] = os.environ) -> bytes:
    """Key of the surrogates that stand for personal data in a corpus: `PE_RAY_PII_KEY`, else one that is public.

    With the public key a corpus is the same on every machine, but whoever guesses a value can check the guess.
    Raises KeyUnavailable for a key under 16 characters.
    """
    given = environ.get("PE_RAY_PII_KEY", "")
    if given and len(given) < 16:
        raise KeyUnavailable(f"PE_RAY_PII_KEY: has {len(given)} characters; give 16 or more, or unset it")
    return given.encode() or PUBLIC_SURROGATE_KEY


def read_key(path: Path) -> bytes:
    """The 32 bytes in a key file. Raises KeyUnavailable for bad permissions or content, FileNotFoundError."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise KeyUnavailable(f"{path}: mode {mode:04o} lets others read the key; run: chmod 600 {path}")
        text = file.read(1024).strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        raise KeyUnavailable(f"{path}: does not hold 64 hexadecimal digits; restore the key file from its backup")
    return bytes.fromhex(text.decode())


def create_key(path: Path) -> None:
    """Write a fresh key, unless another process is quicker: a link to a complete file is made in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _stored_ids(home: Home) -> list[str]:
    engine = open_keys(home)
    try:
        with engine.begin() as connection:
            return known_keks(connection)
    finally:
        engine.dispose()
