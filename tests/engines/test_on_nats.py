"""Delivering on NATS JetStream, by the page's own example: workers and relays in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta

import nats
import pytest
from nats.js.errors import NotFoundError
from places import PLACES, example

from hookkit import AsyncWorker
from hookkit.contrib.engines import AsyncRelay
from hookkit.contrib.engines.nats import FETCH_S, WorkQueue
from hookkit.stores.memory import AsyncMemoryStore
from hookkit.testing import AsyncFakeTransport


class OnNats:
    """A test's JetStream: its module, its workers, and its relays."""

    def __init__(self, place):
        self.place = place
        self.module = place.module(example("NATS JetStream"))

    def worker(self):
        return self.place.python(f"import asyncio, {self.module} as page; asyncio.run(page.work(asyncio.Event()))")

    def relay(self):
        return self.place.python(f"import asyncio, {self.module} as page; asyncio.run(page.relay(asyncio.Event()))")

    def run(self, story, **options):
        """Run a story that is given a connection's JetStream, and this test's work queue on it."""

        async def told():
            client = await nats.connect(PLACES["nats"])
            try:
                js = client.jetstream()
                tickets = WorkQueue(js, stream=self.place.name, subject=self.place.name, **options)
                return await asyncio.wait_for(story(js, tickets), 60)
            finally:
                await client.close()

        return asyncio.run(told())

    def messages(self):
        """Return how many messages the stream holds."""

        async def story(js, _):
            return (await js.stream_info(self.place.name)).state.messages

        return self.run(story)


@pytest.fixture
def on_nats(place):
    found = OnNats(place)
    yield found
    place.end()

    async def clear(js, _):
        with contextlib.suppress(NotFoundError):
            await js.delete_stream(place.name)

    found.run(clear)


def eventually_none_is_left(on_nats) -> None:
    ends = time.monotonic() + 30
    while on_nats.messages():
        assert time.monotonic() < ends, "messages were not acknowledged"
        time.sleep(0.1)


def test_everything_is_delivered_once_and_no_cap_is_exceeded(place, on_nats) -> None:
    """Two workers and two relays: each event received once, in as many attempts, and each message acknowledged."""
    place.share_out(on_nats)
    eventually_none_is_left(on_nats)


def test_killed_workers_and_relays_lose_nothing(place, on_nats) -> None:
    """Power losses, again and again: every event arrives; no more is lost than the caps let a worker have in hand."""
    place.lose_power(on_nats, most_lost=1 + 2 + 3 + 4)
    eventually_none_is_left(on_nats)


async def drained(js, tickets) -> None:
    """Wait until every message is acknowledged."""
    while (await js.stream_info(tickets.stream)).state.messages:  # noqa: ASYNC110 - it is the server's to know
        await asyncio.sleep(0.05)


def emitted(store):
    """Return a story's beginning: one webhook, one event."""

    async def begin(transport):
        from hookkit import AsyncOutboxDispatcher, AsyncRegistry, Endpoint

        registry = AsyncRegistry(store, transport=transport)
        await registry.create(Endpoint("https://receiver.example.com/", "*", max_in_flight=10))
        return (await AsyncOutboxDispatcher(store).emit("user.created")).delivery_ids[0]

    return begin


def test_messages_that_are_no_tickets_are_acknowledged(on_nats, caplog) -> None:
    """They must not come again and again; what is a ticket among them is delivered."""
    store, transport = AsyncMemoryStore(), AsyncFakeTransport()

    async def story(js, tickets):
        await tickets.prepare()
        for message in (b"", b"\xff", b"nonsense", b"dlv_1.off_1", b"x" * 100_000):
            await js.publish(tickets.subject, message)
        delivery = await emitted(store)(transport)
        await AsyncRelay(store, tickets.hand).run_once()
        stop = asyncio.Event()
        working = asyncio.create_task(tickets.work(AsyncWorker(store, transport=transport), concurrency=2, stop=stop))
        await drained(js, tickets)
        stop.set()
        await working
        return (await store.entry(delivery)).state

    with caplog.at_level(logging.WARNING, "hookkit"):
        assert on_nats.run(story) == "succeeded"
    assert [record.getMessage() for record in caplog.records].count("dropped a message that is no ticket: 1 long") == 1
    assert len(caplog.records) == 4


def test_a_slow_attempt_keeps_its_message(on_nats) -> None:
    """It says that it goes on, several times in each ``ack_wait``: nobody else is given the message meanwhile."""
    store = AsyncMemoryStore()

    async def slow(_):
        await asyncio.sleep(2.5)
        return 200

    transport = AsyncFakeTransport(slow)

    async def story(js, tickets):
        await tickets.prepare()
        await emitted(store)(transport)
        await AsyncRelay(store, tickets.hand).run_once()
        stop = asyncio.Event()
        working = asyncio.create_task(tickets.work(AsyncWorker(store, transport=transport), concurrency=2, stop=stop))
        await drained(js, tickets)
        again = (await js.consumer_info(tickets.stream, tickets.consumer)).num_redelivered
        stop.set()
        await working
        return again, len(transport.requests)

    assert on_nats.run(story, ack_wait=timedelta(seconds=1)) == (0, 1)


def test_a_ticket_is_kept_once(on_nats) -> None:
    """However often a client that heard no answer publishes it."""

    async def story(js, tickets):
        await tickets.prepare()
        await tickets.hand(["dlv_1.off_1", "dlv_2.off_2"])
        await tickets.hand(["dlv_1.off_1", "dlv_2.off_2"])
        return (await js.stream_info(tickets.stream)).state.messages

    assert on_nats.run(story) == 2


def test_the_stream_may_be_prepared_by_everybody(on_nats) -> None:
    """Each process does, and what is there stays."""

    async def story(js, tickets):
        await tickets.prepare()
        await tickets.hand(["dlv_1.off_1"])
        await tickets.prepare()
        info = await js.stream_info(tickets.stream)
        return info.state.messages, info.config.retention, info.config.max_age

    assert on_nats.run(story) == (1, "workqueue", 3600.0)


def test_a_worker_whose_connection_is_closed_ends(on_nats) -> None:
    """With an error, when what it sends is settled: whoever runs it starts it again."""
    store = AsyncMemoryStore()
    began, go = asyncio.Event(), asyncio.Event()

    async def wait(_):
        began.set()
        await go.wait()
        return 200

    transport = AsyncFakeTransport(wait)

    async def story(_, __):
        client = await nats.connect(PLACES["nats"])
        tickets = WorkQueue(client.jetstream(), stream=on_nats.place.name, subject=on_nats.place.name)
        await tickets.prepare()
        delivery = await emitted(store)(transport)
        await AsyncRelay(store, tickets.hand).run_once()
        working = asyncio.create_task(tickets.work(AsyncWorker(store, transport=transport), concurrency=2))
        await began.wait()
        await client.close()
        await asyncio.wait([working], timeout=FETCH_S + 0.5)  # whoever sends nothing has noticed by then
        assert not working.done()
        go.set()
        with pytest.raises(nats.errors.ConnectionClosedError):
            await working
        assert (await store.entry(delivery)).state == "succeeded"

    on_nats.run(story)


def test_a_worker_that_could_do_nothing_is_refused(on_nats) -> None:
    """It would return at once, without a word."""
    tickets = WorkQueue(None)
    with pytest.raises(ValueError, match="concurrency is at least 1"):
        asyncio.run(tickets.work(AsyncWorker(AsyncMemoryStore()), concurrency=0))


def test_a_worker_that_is_stopped_finishes_what_it_sends(on_nats) -> None:
    """Or gives it back, if it is cancelled."""
    store = AsyncMemoryStore()
    began, go = asyncio.Event(), asyncio.Event()

    async def wait(_):
        began.set()
        await go.wait()
        return 200

    transport = AsyncFakeTransport(wait)

    async def story(_, tickets):
        await tickets.prepare()
        delivery = await emitted(store)(transport)
        relay = AsyncRelay(store, tickets.hand)
        await relay.run_once()
        working = asyncio.create_task(tickets.work(AsyncWorker(store, transport=transport), concurrency=2))
        await began.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert (await store.entry(delivery)).state == "pending"
        began.clear()
        await relay.run_once()
        stop = asyncio.Event()
        working = asyncio.create_task(tickets.work(AsyncWorker(store, transport=transport), concurrency=2, stop=stop))
        await began.wait()
        stop.set()
        go.set()
        await working
        entry = await store.entry(delivery)
        assert (entry.state, len(entry.attempts)) == ("succeeded", 1)

    on_nats.run(story)
