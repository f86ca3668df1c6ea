"""From the outbox to the journal: parcels leave in batches and are forgotten when the journal has them.

Delivery is at least once; the journal ignores an id that it has. While the journal is away parcels wait, however long.
The outboxes of gateways that are gone are adopted, emptied and removed.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from pe_ray.monitor import metrics
from pe_ray.security.body_guard import where
from pe_ray.store.outbox import Outbox, Parcel

LOG = logging.getLogger("pe_ray.dispatch")
BATCH = 64
LONGEST_PAUSE_S = 30.0
Deliver = Callable[[Sequence[Parcel]], Awaitable[set[str]]]
"""Hands parcels to the journal; the ids that it has taken (kept, or set aside as unusable)."""


class Dispatcher:
    """Empties one outbox, and those of its dead neighbours, until stopped."""

    def __init__(self, outbox: Outbox, deliver: Deliver, every_s: float) -> None:
        self._outbox, self._deliver, self._every_s = outbox, deliver, every_s
        self._task: asyncio.Task[None] | None = None
        self.state = "starting"
        """ok, or what is wrong with the journal; shown by /health."""

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End after the batch in hand."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def drain(self, outbox: Outbox) -> int:
        """Deliver all that waits in an outbox; how many parcels. Raises what the delivery raises."""
        count = 0
        while parcels := await asyncio.to_thread(outbox.peek, BATCH):
            taken = await self._deliver(parcels)
            done = [p for p in parcels if p.id in taken]
            if not done:
                raise RuntimeError("the journal took none of the parcels")
            await asyncio.to_thread(outbox.delivered, done)
            count += len(done)
        return count

    async def _run(self) -> None:
        pause = self._every_s
        while True:
            try:
                await self._adopt()
                await self.drain(self._outbox)
                self.state, pause = "ok", self._every_s
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 (the journal may be away for any reason; parcels wait)
                self.state = f"waiting: {type(error).__name__}"
                LOG.warning("no delivery: %s at %s", type(error).__name__, where(error))
                pause = min(pause * 2, LONGEST_PAUSE_S)
            metrics.OUTBOX.set(len(self._outbox))
            metrics.OUTBOX_AGE.set(self._outbox.oldest_s())
            await asyncio.sleep(pause)

    async def _adopt(self) -> None:
        for path in orphans(self._outbox.path):
            if (left := Outbox.claim(path)) is None:
                continue
            try:
                count = await self.drain(left)
            except BaseException:
                left.close()
                raise
            left.remove()
            LOG.info("adopted an outbox: %d parcels", count)


def orphans(own: Path) -> list[Path]:
    """Outbox files beside our own; whether their owners live is for `Outbox.claim` to say."""
    return sorted(p for p in own.parent.glob("*.db") if p != own)


def over_http(client: httpx.AsyncClient, url: str, token: str) -> Deliver:
    """Delivery to `<progress>/api/v1/deliveries`, for a journal that is not an application of the same Serve."""

    async def deliver(parcels: Sequence[Parcel]) -> set[str]:
        body = {"parcels": [{"id": p.id, "sealed": base64.b64encode(p.sealed).decode()} for p in parcels]}
        answer = await client.post(url, json=body, headers={"authorization": f"Bearer {token}"})
        answer.raise_for_status()
        taken = answer.json()
        return {*taken["stored"], *taken["refused"]}

    return deliver
