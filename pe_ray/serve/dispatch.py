"""From the outbox to the journal: batches, at least once, forgotten only after the journal has answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pe_ray.store.outbox import Outbox, Parcel

LOG = logging.getLogger("pe_ray.outbox")
BATCH = 64
LONGEST_WAIT_S = 30.0

Deliver = Callable[[Sequence[tuple[str, bytes]]], Awaitable[Sequence[str]]]
"""Hands sealed parcels over; returns the ids that are on disk there (or refused there for good)."""


async def drain(outbox: Outbox, deliver: Deliver, every_s: float) -> None:
    """Deliver for ever; after a failure wait longer each time, up to half a minute."""
    wait_s = every_s
    while True:
        try:
            moved = await deliver_once(outbox, deliver)
            wait_s = 0.0 if moved == BATCH else every_s
        except Exception as error:  # noqa: BLE001 (the journal may be restarting; nothing is lost meanwhile)
            LOG.warning("delivery failed: %s; %d parcels wait", type(error).__name__, len(outbox))
            wait_s = min(max(wait_s, every_s) * 2, LONGEST_WAIT_S)
        await asyncio.sleep(wait_s)


async def deliver_once(outbox: Outbox, deliver: Deliver) -> int:
    """One batch; how many parcels left the outbox."""
    parcels = await asyncio.to_thread(outbox.peek, BATCH)
    if not parcels:
        return 0
    done = set(await deliver([(p.id, p.sealed) for p in parcels]))
    arrived: list[Parcel] = [p for p in parcels if p.id in done]
    await asyncio.to_thread(outbox.delivered, arrived)
    return len(arrived)


def adopt(folder: Path, mine: Outbox) -> int:
    """Move what a gateway that is gone left behind into this outbox; how many parcels.

    A file is another's while its lock is held; the lock ends with its process.
    """
    moved = 0
    for path in sorted(folder.glob("*.db")):
        if path == mine.path or not (left := Outbox.claim(path)):
            continue
        while parcels := left.peek(BATCH):
            for p in parcels:
                mine.put(p.id, p.sealed, p.lane)
            left.delivered(parcels)
            moved += len(parcels)
        left.remove()
    return moved
