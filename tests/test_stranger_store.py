"""The protocols' docstrings are enough to write a store from: one that was passes the kits, and carries deliveries."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve

from hookkit import (
    AsyncOutboxDispatcher,
    AsyncRegistry,
    AsyncWorker,
    Endpoint,
    OutboxDispatcher,
    Registry,
    Worker,
    verify_signature,
)
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import AsyncFakeTransport, FakeTransport, LanesQueueContract, ManualClock, StoreContract, as_sync
from stranger import StrangerStore


class TestStrangerStore(StoreContract):
    """The whole contract, over the plainest store."""

    @pytest.fixture
    def store(self):
        """Return an empty store."""
        return StrangerStore()


class TestThreadedStrangerStore(StoreContract, LanesQueueContract):
    """The same with the async protocols, as :class:`ThreadedStore` gives them to any sync store."""

    threads = 2

    @pytest.fixture
    def store(self):
        """Yield an empty store."""
        with as_sync(ThreadedStore(StrangerStore())) as store:
            yield store


class TestFlow:
    """The shells over it: registered, emitted, delivered, given up, and delivered after all."""

    def test_a_delivery_from_registration_to_the_log(self) -> None:
        """The body that arrives verifies; a repeated emit is a repeat; the log and the health tell of it."""
        store, clock, transport = StrangerStore(), ManualClock(), FakeTransport([503, 200])
        registry = Registry(store, transport=transport, clock=clock)
        hook = registry.create(Endpoint("https://example.com/hooks", "User.*", tenant="acme"))
        dispatcher = OutboxDispatcher(store, clock=clock)
        emission = dispatcher.emit("User.Created", {"id": 7}, tenant="acme", idempotency_key="7")
        assert dispatcher.emit("User.Created", tenant="acme", idempotency_key="7") == evolve(emission, duplicate=True)
        assert dispatcher.emit("User.Created", tenant="other").delivery_ids == ()
        worker = Worker(store, transport=transport, clock=clock)
        assert worker.drain() == 1
        clock.advance(6)
        assert worker.drain() == 1
        worker.stop()
        request = transport.requests[-1]
        verified = verify_signature(request.body, request.headers, hook.keys, now=clock.now())
        assert (verified.id, verified.json()["data"]) == (emission.event_id, {"id": 7})
        (entry,) = registry.recent(hook.id)
        assert (entry.state, [one.status for one in entry.attempts]) == ("succeeded", [503, 200])
        health = registry.health([hook.id])[hook.id]
        assert (health.requests, health.success_rate, health.consecutive_failures) == (1, 1.0, 0)

    def test_a_webhook_that_is_gone_and_comes_back(self) -> None:
        """410 disables it and holds the rest; enabled, it gets what was held, and what had failed when asked for."""
        store, clock, transport, notices = StrangerStore(), ManualClock(), FakeTransport([410, 200]), []
        registry = Registry(store, transport=transport, clock=clock)
        hook = registry.create(Endpoint("https://example.com/hooks", "*", max_in_flight=1))
        dispatcher = OutboxDispatcher(store, clock=clock)
        lost, held = (dispatcher.emit("user.created", {"n": n}).delivery_ids[0] for n in range(2))
        worker = Worker(store, transport=transport, clock=clock, on_notice=notices.append)
        worker.drain()
        assert [notice.kind for notice in notices] == ["disabled"]
        assert registry.get(hook.id).disabled_reason == "gone"
        assert (registry.entry(lost).state, registry.entry(held).state) == ("failed", "held")
        registry.enable(hook.id)
        assert registry.recover(hook.id, since=clock.now()) == 1
        again = registry.redeliver(held)
        worker.drain()
        worker.stop()
        assert {registry.entry(one).state for one in (lost, held, again)} == {"succeeded"}
        assert [one.status for one in registry.entry(lost).attempts] == [410, 200]

    def test_the_same_async(self) -> None:
        """Through :class:`ThreadedStore`, with the async shells."""

        async def flow() -> list[int | None]:
            store, clock, transport = ThreadedStore(StrangerStore()), ManualClock(), AsyncFakeTransport([500, 204])
            registry = AsyncRegistry(store, transport=transport, clock=clock)
            await registry.create(Endpoint("https://example.com/hooks", "*"))
            emission = await AsyncOutboxDispatcher(store, clock=clock).emit("user.created")
            worker = AsyncWorker(store, transport=transport, clock=clock)
            await worker.drain()
            clock.advance(6)
            await worker.drain()
            await worker.stop()
            entry = await registry.entry(emission.delivery_ids[0])
            await store.aclose()
            return [one.status for one in entry.attempts]

        assert asyncio.run(flow()) == [500, 204]
