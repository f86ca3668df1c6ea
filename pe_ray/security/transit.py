"""What passes between the gateway and the journal: sealed parcels, and the token that lets them in.

The gateway seals an entry with a key derived from the key-encryption key, so it never needs a client's own key; the
journal opens the parcel and seals each field again for its client.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict

from pe_ray.errors import SealError
from pe_ray.record import JournalEntry
from pe_ray.security.envelope import DataKey, Place, open_, seal
from pe_ray.security.keys import Keys

_PLACE = Place("outbox", "parcel", "")


def seal_entry(keys: Keys, entry: JournalEntry) -> bytes:
    """An entry that only this installation can open."""
    body = json.dumps({**asdict(entry), "body": dict(entry.body)}, ensure_ascii=False, allow_nan=False)
    return seal(DataKey(1, keys.derive("outbox")), body.encode("utf-8", "replace"), _PLACE)


def open_entry(keys: Keys, blob: bytes) -> JournalEntry:
    """The entry in a parcel. Raises SealError if it was sealed elsewhere, changed, or holds no entry."""
    try:
        return JournalEntry(**json.loads(open_(DataKey(1, keys.derive("outbox")), blob, _PLACE)))
    except (ValueError, TypeError):
        raise SealError("the parcel opens but holds no journal entry") from None


def operator_token(keys: Keys) -> str:
    """The Bearer token of the installation's own processes (deliveries, clearing the cache)."""
    tag = hmac.digest(keys.derive("operator"), b"pe_ray operator token v1", hashlib.sha256)
    return base64.urlsafe_b64encode(tag).decode().rstrip("=")


def is_operator(keys: Keys, authorization: str | None) -> bool:
    """Whether an `Authorization` header carries the operator token; compared in constant time."""
    scheme, _, token = (authorization or "").partition(" ")
    given = token.strip().encode("utf-8", "replace")
    return scheme.lower() == "bearer" and hmac.compare_digest(given, operator_token(keys).encode())
