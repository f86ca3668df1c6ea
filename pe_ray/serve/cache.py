"""Replies kept for equal questions: exact, bounded, and forgotten after a time. In the ingress process, no hop.

The key covers everything that a reply follows from; where a conversation or a client's own state is in play it covers
the client too, so that nobody can get another's reply. The gateway judges a hit again before it is sent, and never
puts in a sampled reply or one from a conversation in danger.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pe_ray.record import Message


@dataclass(frozen=True)
class CachedReply:
    """What an engine wrote."""

    text: str = field(repr=False)
    tokens: int


class ResponseCache:
    """Least recently used out first. For one event loop: it takes no lock."""

    def __init__(self, entries: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries, self._ttl_s, self._clock = entries, ttl_s, clock
        self._kept: OrderedDict[str, tuple[float, CachedReply]] = OrderedDict()

    def get(self, key: str) -> CachedReply | None:
        """The reply under a key, if it is there and young enough."""
        found = self._kept.get(key)
        if found is None:
            return None
        if self._clock() - found[0] > self._ttl_s:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: str, reply: CachedReply) -> None:
        """Keep a reply."""
        if self._entries == 0:
            return
        self._kept[key] = (self._clock(), reply)
        self._kept.move_to_end(key)
        while len(self._kept) > self._entries:
            self._kept.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget one reply."""
        self._kept.pop(key, None)

    def clear(self) -> int:
        """Forget all; how many there were."""
        count = len(self._kept)
        self._kept.clear()
        return count

    def __len__(self) -> int:
        return len(self._kept)


def key(
    *, model: str, versions: Sequence[str], max_new_tokens: int, messages: Sequence[Message], client: str | None
) -> str:
    """A digest of what a greedy reply follows from.

    `versions` are those of the prompt's form and of the safety rules; `client` is given where the reply belongs to one.
    """
    parts = [model, list(versions), max_new_tokens, client, [[m.role, m.text] for m in messages]]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()
