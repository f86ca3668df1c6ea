"""Seal a value to one place: it opens under one key, in one row and column, for one client, unchanged.

    "PR1" | key version u32 | nonce 12 | key commitment 16 | AES-256-GCM ciphertext | tag 16

GCM alone does not commit to its key (one ciphertext can open under two keys), so each value carries 16 bytes that
only its own key derives. The place is authenticated, not stored: a value moved to another row does not open.
"""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pe_ray.errors import SealError

MAGIC = b"PR1"
_HEADER = struct.Struct(">3sI12s16s")
_TAG = 16
OVERHEAD = _HEADER.size + _TAG
"""Bytes by which a sealed value is longer than the plain one (51)."""


@dataclass(frozen=True)
class DataKey:
    """A 256-bit key and its version. NIST SP 800-38D allows 2^32 values under one key with random nonces."""

    version: int
    secret: bytes = field(repr=False)

    @cached_property
    def _parts(self) -> tuple[AESGCM, bytes]:
        derived = derive(self.secret, "pe_ray/envelope", 48)
        return AESGCM(derived[:32]), derived[32:]  # building the cipher costs twice a 2 KiB seal: kept


@dataclass(frozen=True)
class Place:
    """Where a sealed value rests."""

    table: str
    column: str
    row_id: str
    client_id: str = field(default="", repr=False)

    def authenticated(self, key_version: int) -> bytes:
        """The place and the key version, each part with its length before it, so that no two places are equal bytes."""
        parts = ("pe_ray/v1", self.table, self.column, self.row_id, self.client_id, str(key_version))
        encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
        return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def seal(key: DataKey, plaintext: bytes, place: Place) -> bytes:
    """`plaintext`, readable only with `key` and at `place`; 51 bytes longer."""
    cipher, commitment = key._parts
    nonce = os.urandom(12)
    sealed = cipher.encrypt(nonce, plaintext, place.authenticated(key.version))
    return _HEADER.pack(MAGIC, key.version, nonce, commitment) + sealed


def open_(key: DataKey, sealed: bytes, place: Place) -> bytes:
    """What was sealed.

    Raises SealError for another key, version, row, column, table or client, and for changed, short or foreign bytes.
    """
    version, nonce, commitment = _read_header(sealed)
    cipher, own = key._parts
    if version != key.version or not hmac.compare_digest(commitment, own):
        raise SealError(f"{place.table}.{place.column} {place.row_id}: was sealed under another key")
    try:
        return cipher.decrypt(nonce, sealed[_HEADER.size :], place.authenticated(version))
    except InvalidTag:
        raise SealError(f"{place.table}.{place.column} {place.row_id}: was changed, or moved from its place") from None


def key_version(sealed: bytes) -> int:
    """The version of the key that sealed a value; SealError if the bytes are none of ours."""
    return _read_header(sealed)[0]


def derive(secret: bytes, purpose: str, length: int = 32) -> bytes:
    """A key for one purpose from a secret of full entropy (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose.encode()).derive(secret)


def _read_header(sealed: bytes) -> tuple[int, bytes, bytes]:
    if len(sealed) < OVERHEAD:
        raise SealError(f"{len(sealed)} bytes are too short for a sealed value ({OVERHEAD} at least)")
    magic, version, nonce, commitment = _HEADER.unpack_from(sealed)
    if magic != MAGIC or version >= 2**31:  # databases look a version up as a signed 32-bit number
        raise SealError("not a sealed value of pe_ray (PR1 and a key version are wanted first)")
    return version, nonce, commitment
