"""Sync stores for asyncio: what runs on which thread, commits that are shared, cancellation, and the end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hookkit import AsyncOutboxDispatcher, AsyncRegistry, Endpoint, NotFound, StoreError
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import AsyncFakeTransport
from hookkit.testing.builders import endpoint, planned
from hookkit.testing.clock import START
from worlds import PATIENCE_S, URL, leftovers, until


class Watched(MemoryStore):
    """A sync store that counts calls of ``enqueue``, notes its threads, and can be kept busy or made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.threads: dict[str, str] = {}
        self.poison: str | None = None
        self.closed = 0
        self._free = threading.Event()
        self._free.set()

    def enqueue(self, planned: Any, **options: Any) -> Any:
        self.threads["enqueue"] = threading.current_thread().name
        self.batches.append(len(planned))
        if any(one.event_id == self.poison for one in planned):
            raise StoreError("poisoned")
        return super().enqueue(planned, **options)

    def add_webhook(self, endpoint: Endpoint) -> None:
        self.threads["add_webhook"] = threading.current_thread().name
        assert self._free.wait(PATIENCE_S)
        super().add_webhook(endpoint)

    def get_webhook(self, endpoint_id: str) -> Endpoint:
        self.threads["get_webhook"] = threading.current_thread().name
        return super().get_webhook(endpoint_id)

    def close(self) -> None:
        self.closed += 1

    @asynccontextmanager
    async def busy(self, store: ThreadedStore) -> AsyncIterator[None]:
        """Keep the writing thread busy for the block's duration."""
        self._free.clear()
        writing = asyncio.ensure_future(store.add_webhook(endpoint()))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            self._free.set()
            await writing


def one(sync: MemoryStore, **fields: Any) -> Any:
    """Return a planned event for the one webhook of a store, which is made when it is first needed."""
    if not sync._tables.webhooks:
        MemoryStore.add_webhook(sync, endpoint(id="whk_1"))
    return planned("whk_1", **fields)


async def while_busy(sync: Watched, store: ThreadedStore, *calls: Any) -> list[Any]:
    """Begin `calls` while the writing thread is busy, then let it go on; return their outcomes."""
    async with sync.busy(store):
        begun = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0.01)
    return await asyncio.gather(*begun, return_exceptions=True)


# --- Threads ----------------------------------------------------------------------------------------------------------


def test_writes_and_reads_have_a_thread_each() -> None:
    """Neither is the event loop's; a long write keeps no read waiting."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            await store.add_webhook(endpoint(id="whk_0"))
            async with sync.busy(store):
                assert (await store.get_webhook("whk_0")).id == "whk_0"
            await store.enqueue([one(sync)], now=START)
            assert sync.threads["enqueue"] == sync.threads["add_webhook"] == "hookkit-write_0"
            assert sync.threads["get_webhook"] == "hookkit-read_0"

    asyncio.run(host())


def test_the_event_loop_is_never_blocked() -> None:
    """While the store writes, the loop turns."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            turns = 0
            async with sync.busy(store):
                for _ in range(10):
                    await asyncio.sleep(0)
                    turns += 1
            assert turns == 10

    asyncio.run(host())


def test_what_a_store_raises_reaches_the_caller() -> None:
    """As it is."""

    async def host() -> None:
        async with ThreadedStore(MemoryStore()) as store:
            with pytest.raises(NotFound):
                await store.get_webhook("whk_unknown")
            with pytest.raises(NotFound):
                await store.redeliver("dlv_unknown", now=START)

    asyncio.run(host())


def test_a_transaction_stays_on_the_callers_thread() -> None:
    """That is where a sync connection may be used."""

    class Joining(MemoryStore):
        def enqueue(self, planned: Any, *, now: Any, tx: Any = None) -> Any:
            assert threading.current_thread() is tx
            return ["joined"]

        def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Any:
            assert threading.current_thread() is tx
            return ["subscribed"]

    async def host() -> None:
        async with ThreadedStore(Joining()) as store:
            here = threading.current_thread()
            assert await store.enqueue([], now=START, tx=here) == ["joined"]
            assert await store.subscribers("", "a", tx=here) == ["subscribed"]

    asyncio.run(host())


def test_the_memory_store_needs_no_thread() -> None:
    """Its calls are done at once."""

    async def host() -> None:
        before = threading.active_count()
        store = AsyncMemoryStore()
        registry = AsyncRegistry(store, transport=AsyncFakeTransport())
        await registry.create(Endpoint(URL, "*"))
        assert len((await AsyncOutboxDispatcher(store).emit("a")).delivery_ids) == 1
        assert len(await registry.list()) == 1
        assert threading.active_count() == before
        await store.aclose()

    asyncio.run(host())


# --- Shared commits ---------------------------------------------------------------------------------------------------


def test_enqueues_that_wait_share_one_call() -> None:
    """One transaction for all; each caller gets its own emissions, in its own order."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            events = [[one(sync), one(sync)], [], [one(sync)], [one(sync), one(sync), one(sync)]]
            found = await while_busy(sync, store, *(store.enqueue(each, now=START) for each in events))
            assert sync.batches == [6]
            assert [[each.event_id for each in part] for part in found] == [
                [each.event_id for each in part] for part in events
            ]
            await store.enqueue([one(sync)], now=START)
            assert sync.batches == [6, 1]

    asyncio.run(host())


def test_concurrent_emits_share_a_commit(tmp_path: Path) -> None:
    """A hundred emits to a SQLite file that wait for each other take one transaction."""

    async def host() -> None:
        async with AsyncSQLiteStore(tmp_path / "hooks.db") as store:
            await store.add_webhook(endpoint(id="whk_1"))
            statements: Counter[str] = Counter()
            free = threading.Event()

            def watch() -> None:
                connection = store._store._database._connection()
                connection.set_trace_callback(lambda sql: statements.update([sql.split()[0]]))
                assert free.wait(PATIENCE_S)

            watching = asyncio.ensure_future(store._write(watch))
            dispatcher = AsyncOutboxDispatcher(store)
            emitting = asyncio.gather(*(dispatcher.emit("user.created", number) for number in range(100)))
            await until(lambda: len(store._waiting) == 100)
            free.set()
            emissions = await emitting
            await watching
            assert len({emission.delivery_ids for emission in emissions}) == 100
            assert statements["BEGIN"] == statements["COMMIT"] == 1

    asyncio.run(host())
    with SQLiteStore(tmp_path / "hooks.db") as store:
        assert store.health(["whk_1"], now=START)["whk_1"].pending == 100


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_that_cannot_be_stored_fails_alone(position: int) -> None:
    """Whoever waited with it is stored, and told so."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            sync.poison = "evt_bad"
            events = [one(sync) for _ in range(3)]
            events[position] = one(sync, id="evt_bad")
            found = await while_busy(sync, store, *(store.enqueue([each], now=START) for each in events))
            for index, (event, outcome) in enumerate(zip(events, found, strict=True)):
                if index == position:
                    assert isinstance(outcome, StoreError)
                    assert "poisoned" in str(outcome)
                else:
                    assert outcome[0].event_id == event.event_id
                    assert not outcome[0].duplicate
                    assert await store.entry(event.deliveries[0].delivery_id)

    asyncio.run(host())


def test_one_alone_is_not_tried_twice() -> None:
    """There is nobody to spare."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            sync.poison = "evt_bad"
            with pytest.raises(StoreError, match="poisoned"):
                await store.enqueue([one(sync, id="evt_bad")], now=START)
            assert sync.batches == [1]

    asyncio.run(host())


def test_a_repeat_within_a_shared_commit_is_one() -> None:
    """Two callers with the same idempotency key at the same time: one event."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            first, second = one(sync, key="k"), one(sync, key="k")
            found = await while_busy(sync, store, store.enqueue([first], now=START), store.enqueue([second], now=START))
            assert sync.batches == [2]
            assert [(each[0].event_id, each[0].duplicate) for each in found] == [
                (first.event_id, False),
                (first.event_id, True),
            ]

    asyncio.run(host())


# --- Cancellation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1, 2]])
def test_a_cancelled_caller_takes_nobody_along(cancelled: list[int]) -> None:
    """Not the one who waits first either: the others are stored, and so are those that come later."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            events = [one(sync) for _ in range(3)]
            async with sync.busy(store):
                begun = [asyncio.ensure_future(store.enqueue([each], now=START)) for each in events]
                await asyncio.sleep(0.01)
                for index in cancelled:
                    begun[index].cancel()
                await asyncio.sleep(0.01)
            found = await asyncio.wait_for(asyncio.gather(*begun, return_exceptions=True), PATIENCE_S)
            for index, outcome in enumerate(found):
                if index in cancelled:
                    assert isinstance(outcome, asyncio.CancelledError)
                else:
                    assert outcome[0].event_id == events[index].event_id
            later = await asyncio.wait_for(store.enqueue([one(sync)], now=START), PATIENCE_S)
            assert not later[0].duplicate

    asyncio.run(host())


def test_a_cancelled_write_that_was_begun_happens() -> None:
    """What is under way on a thread cannot be stopped; the store is whole afterwards."""

    async def host() -> None:
        sync = Watched()
        async with ThreadedStore(sync) as store:
            sync._free.clear()
            adding = asyncio.ensure_future(store.add_webhook(endpoint(id="whk_9")))
            await asyncio.sleep(0.01)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            sync._free.set()
            await store.add_webhook(endpoint())
            assert (await store.get_webhook("whk_9")).id == "whk_9"

    asyncio.run(host())


# --- The end ----------------------------------------------------------------------------------------------------------


def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """What was called is done, the sync store is closed, and no thread is left; closing again is harmless."""

    async def host() -> None:
        sync = Watched()
        store = ThreadedStore(sync)
        sync._free.clear()
        adding = asyncio.ensure_future(store.add_webhook(endpoint(id="whk_9")))
        enqueueing = asyncio.ensure_future(store.enqueue([one(sync)], now=START))
        await asyncio.sleep(0.01)
        closing = asyncio.ensure_future(store.aclose())
        await asyncio.sleep(0.01)
        assert not closing.done()
        sync._free.set()
        await closing
        await adding
        assert len(await enqueueing) == 1
        assert sync.get_webhook("whk_9")
        assert sync.closed == 1
        await store.aclose()

    asyncio.run(host())
    assert leftovers(tmp_path) == []


def test_a_store_that_cannot_be_closed_need_not_be() -> None:
    """A third party's may have no ``close``."""

    class Endless(MemoryStore):
        close = None  # type: ignore[assignment]

    async def host() -> None:
        async with ThreadedStore(Endless()) as store:
            await store.list_webhooks()

    asyncio.run(host())


def test_a_closed_store_says_so() -> None:
    """Reads, writes and enqueues alike; nothing hangs."""

    async def host() -> None:
        sync = Watched()
        store = ThreadedStore(sync)
        await store.aclose()
        calls = [
            lambda: store.get_webhook("whk_1"),
            lambda: store.add_webhook(endpoint()),
            lambda: store.enqueue([one(sync)], now=START),
            lambda: store.enqueue([one(sync)], now=START),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="closed"):
                await asyncio.wait_for(call(), PATIENCE_S)
        assert sync.batches == []

    asyncio.run(host())


def test_one_store_may_serve_several_event_loops(tmp_path: Path) -> None:
    """It is bound to none: a host may run one after another, or in several threads."""
    store = AsyncSQLiteStore(tmp_path / "hooks.db")
    asyncio.run(store.add_webhook(endpoint(id="whk_1")))
    counts: list[int] = []

    async def emit() -> None:
        dispatcher = AsyncOutboxDispatcher(store)
        emissions = await asyncio.gather(*(dispatcher.emit("a") for _ in range(10)))
        counts.append(sum(len(each.delivery_ids) for each in emissions))

    threads = [threading.Thread(target=lambda: asyncio.run(emit())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert counts == [10, 10, 10]
    asyncio.run(store.aclose())
    assert leftovers(tmp_path) == []
