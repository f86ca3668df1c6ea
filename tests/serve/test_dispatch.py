"""From a real outbox into a real journal, over the internal route."""

import asyncio

import httpx
import pytest

from pe_ray.progress.api import Service, application
from pe_ray.progress.journal import Journal
from pe_ray.record import JournalEntry
from pe_ray.security.access import Access
from pe_ray.security.keys import Keys
from pe_ray.security.transit import operator_token, seal_entry
from pe_ray.serve.dispatch import Dispatcher, over_http
from pe_ray.store.outbox import URGENT, Outbox

pytestmark = pytest.mark.anyio
AT = "2026-01-01T09:00:00Z"


@pytest.fixture
def keys(home):
    return Keys(home)


@pytest.fixture
def journal(home, keys):
    found = Journal(home, keys)
    yield found
    found.close()


@pytest.fixture
def deliver(home, keys, journal):
    app = application(Service(journal, Access(home, keys)))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1")
    return over_http(client, "/api/v1/deliveries", operator_token(keys))


def put(outbox, keys, id, lane=1):
    outbox.put(id, seal_entry(keys, JournalEntry(id, "ada", AT, "message", {"text": f"words of {id}"}, "r1")), lane)


def texts(journal):
    return [item["text"] for item in journal.items("ada")[0]]


async def test_parcels_reach_the_journal_urgent_ones_first(home, keys, journal, deliver):
    outbox = Outbox(home.outbox / "a.db")
    for i in range(70):
        put(outbox, keys, f"e{i}")
    put(outbox, keys, "crisis", URGENT)
    assert await Dispatcher(outbox, deliver, 1).drain(outbox) == 71
    assert len(outbox) == 0
    assert texts(journal)[0] == "words of crisis"
    outbox.close()


async def test_a_parcel_that_cannot_be_opened_does_not_block_the_rest(home, keys, journal, deliver):
    outbox = Outbox(home.outbox / "a.db")
    outbox.put("broken", b"not sealed")
    put(outbox, keys, "e1")
    assert await Dispatcher(outbox, deliver, 1).drain(outbox) == 2
    assert texts(journal) == ["words of e1"]
    outbox.close()


async def test_death_between_delivery_and_forgetting_makes_no_duplicate(home, keys, journal, deliver):
    outbox = Outbox(home.outbox / "a.db")
    put(outbox, keys, "e1")
    await deliver(outbox.peek())  # the process ends here, before `delivered`
    assert len(outbox) == 1
    await Dispatcher(outbox, deliver, 1).drain(outbox)
    assert texts(journal) == ["words of e1"]
    outbox.close()


async def test_parcels_wait_while_the_journal_is_away(home, keys, journal, deliver):
    outbox = Outbox(home.outbox / "a.db")
    put(outbox, keys, "e1")
    tried = asyncio.Event()
    back = asyncio.Event()

    async def later(parcels):
        if not back.is_set():
            tried.set()
            raise httpx.ConnectError("nobody there")
        return await deliver(parcels)

    dispatcher = Dispatcher(outbox, later, 0.01)
    dispatcher.start()
    await asyncio.wait_for(tried.wait(), 10)
    assert len(outbox) == 1
    back.set()
    async with asyncio.timeout(10):
        while len(outbox) or dispatcher.state != "ok":
            await asyncio.sleep(0.01)
    await dispatcher.stop()
    assert texts(journal) == ["words of e1"]
    outbox.close()


async def test_the_outbox_of_a_dead_neighbour_is_adopted(home, keys, journal, deliver):
    dead, living = Outbox(home.outbox / "dead.db"), Outbox(home.outbox / "living.db")
    put(dead, keys, "left")
    put(living, keys, "kept")
    dead.close()
    own = Outbox(home.outbox / "own.db")
    await Dispatcher(own, deliver, 1)._adopt()
    assert texts(journal) == ["words of left"]
    assert sorted(p.name for p in home.outbox.glob("*.db")) == ["living.db", "own.db"]
    assert len(living) == 1
    for outbox in (living, own):
        outbox.close()


async def test_a_wrong_token_delivers_nothing(home, keys, journal):
    app = application(Service(journal, Access(home, keys)))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1")
    outbox = Outbox(home.outbox / "a.db")
    put(outbox, keys, "e1")
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        await Dispatcher(outbox, over_http(client, "/api/v1/deliveries", "wrong"), 1).drain(outbox)
    assert len(outbox) == 1
    outbox.close()
