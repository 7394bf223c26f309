"""Types of delivering on an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

from nats.js import JetStreamContext

from hookkit import AsyncWorker, LogEntry, Worker
from hookkit.contrib.engines import AsyncRelay, PerProcess, Relay, deliver, deliver_async
from hookkit.contrib.engines.celery import deliver_task, hand_to
from hookkit.contrib.engines.nats import WorkQueue
from hookkit.protocols import AsyncHandoverQueue, HandoverQueue
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.postgres import AsyncPostgresStore, PostgresStore
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.work import Claim


def hand(tickets: Sequence[str]) -> None: ...


async def hand_async(tickets: Sequence[str]) -> int:
    return len(tickets)


def shells(store: MemoryStore, async_store: AsyncMemoryStore, app: Any) -> None:
    """A relay takes what gives tickets to an engine, and returns whatever it likes."""
    with Relay(store, hand, window=8, patience=30) as relay:
        assert_type(relay, Relay)
        assert_type(relay.run_once(), int)
    assert_type(deliver(Worker(store), "ticket"), LogEntry | None)
    assert_type(PerProcess(lambda: Worker(store))(), Worker)
    Relay(store, hand_to(deliver_task(app, lambda: Worker(store))))
    AsyncRelay(async_store, hand_async)
    Relay(store, hand_async)  # a coroutine that nobody awaits: no type checker can tell
    AsyncRelay(async_store, hand)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def on_nats(js: JetStreamContext, store: AsyncPostgresStore) -> None:
    """The queue's method is what an AsyncRelay awaits."""
    tickets = WorkQueue(js)
    await tickets.prepare(replicas=3)
    async with AsyncRelay(store, tickets.hand):
        await tickets.work(AsyncWorker(store))
    assert_type(await deliver_async(AsyncWorker(store), b"ticket"), LogEntry | None)


def stores(
    memory: MemoryStore,
    sqlite: SQLiteStore,
    postgres: PostgresStore,
    async_memory: AsyncMemoryStore,
    async_sqlite: AsyncSQLiteStore,
    async_postgres: AsyncPostgresStore,
) -> None:
    """Every shipped store can hand over."""
    queues: list[HandoverQueue] = [memory, sqlite, postgres]
    async_queues: list[AsyncHandoverQueue] = [async_memory, async_sqlite, async_postgres]
    assert queues
    assert async_queues


def claimed(queue: HandoverQueue, offer: Claim, now: Any, lease: Any) -> None:
    """What is taken is a claim, or nothing."""
    assert_type(queue.take(offer.claim_id, now=now, lease=lease, owner="me"), Claim | None)
